"""What to know of how a table was read: columns that stay as they are, and labels that may mean "missing"."""

from collections.abc import Sequence

import pandas as pd

from pyro_mnar.data.kinds.column import ColumnKind

#: Labels that often stand for a missing answer.
_SIGNS = {"-", "--", "---", "?", ".", "..", "*", "x", "missing", "unknown", "unk", "not available", "not stated"}
_SIGNS |= {"no answer", "not reported", "refused", "none given", "n.a.", "na.", "(blank)", "blank", "undefined"}


def notes_on(columns: Sequence[ColumnKind], rows: pd.DataFrame) -> list[str]:
    """One sentence for each thing to look at, of what the columns were taken for and the table (n, p).

    Examples
    --------
    >>> rows = pd.DataFrame({"member": ["Yes", "No", "?", "Yes"]})
    >>> notes_on([ColumnKind("member", "nominal", "text", labels=("?", "No", "Yes"), holds="label")], rows)
    ["'member' has the level '?' in 1 cell, which is taken for an answer: if it means missing, say so"]
    """
    notes = []
    for column in columns:
        if column.name not in rows:
            continue
        cells = rows[column.name]
        holes = int(cells.isna().sum())
        if column.kind == "identifier" and holes:
            why = column.why.partition(";")[0]
            notes.append(f"{str(column.name)!r} has {_cells(holes)} missing that stay so: {why}")
        for label in (*column.labels, *column.pooled):
            if isinstance(label, str) and label.strip().casefold() in _SIGNS:
                count = _cells(int((cells == label).sum()))
                notes.append(
                    f"{str(column.name)!r} has the level {label!r} in {count}, which is taken for an answer: if it "
                    "means missing, say so"
                )
    return notes


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"
