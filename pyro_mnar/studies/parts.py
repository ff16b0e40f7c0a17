"""Studies that are too long for one run: the rows of some tables, masks, methods and seeds at a time."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.studies.records import read_records
from pyro_mnar.studies.runner import ROWS_FILE, run_study
from pyro_mnar.studies.study import Record, Spec, Study, row_key, settings_key

#: What is chosen of a study, such as "tables", to the names of it; None, or left out, is all of them.
Part = Mapping[str, Iterable[str] | None]


@dataclass(frozen=True)
class TableRow:
    """One method on one table with one mask, all by name.

    ``seed`` is that of the mask and the method; ``settings`` are parameters of ``MNARImputer`` and its training where
    they are not the defaults, and empty for baselines; ``rows`` is how many of the table are used in the quick form.
    """

    table: str
    mask: str
    method: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None


def quick_rows(
    methods: Sequence[str],
    tables: Sequence[str],
    masks: Iterable[str],
    models: Mapping[str, Mapping[str, Any]],
    n_rows: int,
) -> tuple[TableRow, ...]:
    """So many rows of some tables and quick methods, ``models`` hardly trained: to see that everything works."""
    hardly = {"max_iter": 5, "n_draws_posterior": 100}
    return tuple(
        TableRow(table, mask, method, 0, {**models[method], **hardly} if method in models else {}, n_rows)
        for method in methods
        for table in tables
        for mask in masks
    )


@dataclass(frozen=True)
class PartedStudy(Generic[Spec]):
    """A study that is run in parts.

    Attributes
    ----------
    name : str
        Short name, that of the folder in results/.
    every : callable
        From whether it is the quick form to all rows, see :class:`~pyro_mnar.studies.study.Study`.
    run_row : callable
        See there.
    write_tables : callable
        From finished rows and a folder to the files that were written there.
    names : mapping
        By what a part is chosen, the plural of a field of the rows, to the names that there are.
    """

    name: str
    every: Callable[[bool], tuple[Spec, ...]]
    run_row: Callable[[Spec, Path | None], Mapping[str, Any]]
    write_tables: Callable[[Sequence[Record], Path], list[Path]]
    names: Mapping[str, Sequence[str]]

    def rows(self, part: Part, seeds: Iterable[int] | None = None, quick: bool = False) -> tuple[Spec, ...]:
        """The rows of a part; without being named, miceforest is of it where it is installed.

        Raises
        ------
        InvalidInputError
            An unknown name, or no row is left.
        """
        kept: dict[str, set[str] | set[int]] = {} if seeds is None else {"seed": set(seeds)}
        for what, known in self.names.items():
            given = part.get(what)
            chosen = set(known) - (set() if has_miceforest() else {"miceforest"}) if given is None else set(given)
            unknown = sorted(chosen - set(known))
            if unknown:
                raise InvalidInputError(f"{what} holds {unknown[0]!r}; the names are {', '.join(known)}")
            kept[what.removesuffix("s")] = chosen
        every = self.every(quick)
        rows = tuple(row for row in every if all(getattr(row, name) in values for name, values in kept.items()))
        if not rows:
            raise InvalidInputError(f"no row of the study is of these {', '.join(self.names)} and seeds at once")
        return rows

    def reproduce(
        self,
        folder: Path,
        part: Part,
        *,
        seeds: Iterable[int] | None = None,
        quick: bool = False,
        data_home: Path | None = None,
        workers: int | None = None,
    ) -> list[Path]:
        """Run what is not finished of a part, and write the tables of all rows that are finished in the folder.

        Parameters
        ----------
        folder : Path
            Where ``rows.jsonl``, tables and pictures go; rows in it that are not the study's are left alone.
        part, seeds
            See :meth:`rows`.
        quick : bool
            Few rows and quick methods, to see that everything works.
        data_home, workers
            See :func:`~pyro_mnar.studies.runner.run_study`.

        Returns
        -------
        list of Path
            The files written.
        """
        study = Study(self.name, self.rows(part, seeds, quick), self.run_row)
        run_study(study, folder, data_home=data_home, workers=workers)
        wanted = {row_key(spec) for spec in self.every(quick)}
        finished = [record for record in read_records(folder / ROWS_FILE) if settings_key(record.spec) in wanted]
        return self.write_tables(finished, folder)


def has_miceforest() -> bool:
    """Whether miceforest, of the extra ``bench``, is installed."""
    return importlib.util.find_spec("miceforest") is not None
