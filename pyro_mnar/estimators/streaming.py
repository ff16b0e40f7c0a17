"""Tables on the disk: fit to a random sample of one, and complete one block after the other into a file.

A default fit takes 700 steps of 256 rows, some 180,000 rows in all. From a larger table it takes a uniform random
sample of so many, each of which it sees once: these are the rows that it would see if it read shuffled blocks of the
whole table as it went. What columns are is found from the sample and one pass over everything, for levels and ends that
the sample lacks.

Completing keeps one block of rows in memory, and each finished block in a part beside the file, so that the same call
goes on after a kill.
"""

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_is_fitted

from pyro_mnar import __version__, errors
from pyro_mnar.data.atomic import check_destination
from pyro_mnar.data.parts import Parts
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.data.sampling import Sample, draw_sample
from pyro_mnar.data.sources import Source, format_of, needed, open_source, to_frame
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.completion import Imputer
from pyro_mnar.estimators.parameters import drawn_seed
from pyro_mnar.estimators.start.plan import rows_per_step
from pyro_mnar.inference.progress import progress

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a sample at least, and cells at most.
LEAST_ROWS, MOST_CELLS = 64_000, 2 * 10**7
#: Memory for the numbers of a block, how many of them each of its cells takes, and bounds of its rows.
BLOCK_BYTES, COPIES, FEWEST, MOST = 64 * 2**20, 30, 128, 8192
#: Different warnings of blocks that are given.
MOST_WARNINGS = 10


def fit_source(imputer: Any, X: Any) -> Any:
    """Fit to a table on the disk; see :meth:`~pyro_mnar.MNARImputer.fit`."""
    with open_source(X) as source, progress(imputer.verbose) as report:
        report(0, 1, f"reading {source.name}")
        size = sample_size(imputer, len(source.columns))
        sample = draw_sample(source, source.columns, size, drawn_seed(imputer.random_state))
    if sample.n_rows <= size:
        return imputer.fit(sample.rows)
    if sample.rare:
        warnings.warn(
            f"columns {list(sample.rare)} have values in {sample.n_rows:,} rows, but none in the {size:,} that were "
            "drawn for the fit: too few to model them; they are passed through",
            DataWarning,
            stacklevel=3,
        )
    before = vars(imputer).get("_known_schema")
    try:
        imputer._known_schema = before or imputer._found_schema(_with_roles(imputer, sample))
        return imputer.fit(sample.rows)
    finally:
        imputer._known_schema = before


def sample_size(imputer: Imputer, n_columns: int) -> int:
    """Rows that a fit is made of: those that its steps see, 64,000 at least, and no more than 20 million cells."""
    most = max(1, MOST_CELLS // max(1, n_columns))
    return min(max(LEAST_ROWS, imputer._steps * rows_per_step(imputer.training_used.batch_size, most)), most)


def block_rows(n_columns: int) -> int:
    """Rows of a block, for the memory that is meant for one."""
    return int(np.clip(BLOCK_BYTES // (8 * COPIES * max(1, n_columns)), FEWEST, MOST))


def complete_source(imputer: Imputer, X: Any, out: Any, overwrite: bool, n_jobs: int) -> Path:
    """Complete a table on the disk; see :meth:`~pyro_mnar.MNARImputer.transform`."""
    check_is_fitted(imputer)
    if not isinstance(out, (str, os.PathLike)):
        raise InvalidInputError(
            f"X is a table on the disk, and out is {out!r}: say where its completed rows are to be written"
        )
    if _get_output_config("transform", imputer)["dense"] != "default":
        raise InvalidInputError("what set_output asks for cannot be a file: set it back to transform='default'")
    out = Path(out)
    with open_source(X) as source:
        names = _columns(imputer, source)
        check_out(out, source, overwrite)
        parts, rows = Parts.of(out), block_rows(max(len(source.schema), len(imputer.columns_.names)))
        made, n_rows, words = list[Path](), source.count(), f"completing {out.name}"
        n_jobs = max(1, min(n_jobs, -(-n_rows // rows)))
        try:
            with progress(imputer.verbose) as report:
                done = 0
                report(done, n_rows, words)
                for path, length in _finished(imputer, source, names, parts, rows, n_jobs):
                    made, done = [*made, path], done + length
                    report(done, max(n_rows, done), words)
            if not made:
                raise InvalidInputError(f"{source.name} has no rows")
            notes = parts.join(sorted(made), out, source.schema)
            parts.remove()
        finally:
            parts.leave()
    _tell(notes)
    return out


class Task(NamedTuple):
    """A block to be completed: ``first_row`` counts all rows before it, ``incomplete`` those with holes."""

    number: int
    block: "pa.Table"
    made_from: str
    first_row: int
    incomplete: int


def _finished(
    imputer: Imputer, source: Source, names: list[str], parts: Parts, rows: int, n_jobs: int
) -> Iterator[tuple[Path, int]]:
    """Parts and their numbers of rows, as they are found or made."""
    found: list[tuple[Path, int]] = []

    def missing() -> Iterator[Task]:
        for task in _tasks(imputer, source, names, rows):
            path = parts.find(task.number, task.made_from)
            if path is None:
                yield task
            else:
                found.append((path, task.block.num_rows))

    def made() -> Iterator[tuple[Path, int]]:
        if n_jobs == 1:
            yield from (complete_part(imputer, names, parts, task, source.name) for task in missing())
            return
        pool = joblib.Parallel(n_jobs, return_as="generator", pre_dispatch=2 * n_jobs, batch_size=1)
        job = joblib.delayed(complete_part)
        yield from pool(job(imputer, names, parts, task, source.name) for task in missing())

    for new in made():
        yield new
        while found:
            yield found.pop()
    yield from found


def _tasks(imputer: Imputer, source: Source, names: list[str], rows: int) -> Iterator[Task]:
    pa = needed("pyarrow")
    model, first_row, incomplete = model_digest(imputer), 0, 0
    for number, block in enumerate(source.blocks(rows)):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, block.schema) as writer:
            writer.write_table(block)
        digest = hashlib.sha256(f"{model} {incomplete}".encode())
        digest.update(sink.getvalue())
        yield Task(number, block, digest.hexdigest()[:16], first_row, incomplete)
        first_row += block.num_rows
        if imputer.strategy == "sample":
            # A draw of a row depends on how many incomplete ones stand before it, as in a table in memory.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = imputer._check(to_frame(block.select(names)), reset=False).values
            incomplete += int(np.isnan(values).any(1).sum())


def complete_part(imputer: Imputer, names: list[str], parts: Parts, task: Task, name: str) -> tuple[Path, int]:
    """Complete a block and write it as a part, with the warnings that were given."""
    block = task.block
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            written, filled = imputer._complete(to_frame(block.select(names)), task.incomplete)
        except InvalidInputError as error:
            last = task.first_row + block.num_rows - 1
            raise type(error)(f"in rows {task.first_row} to {last} of {name}, counted from there: {error}") from error
    kept, columns = list(imputer.get_feature_names_out()), {}
    for field in block.schema:
        if field.name in kept:
            mask = filled[:, names.index(field.name)]
            columns[field.name] = _with_cells(block.column(field.name), written[field.name], mask)
        elif field.name not in names:
            columns[field.name] = block.column(field.name)
    for extra in kept[int(imputer._given_back().sum()) :]:
        columns[extra] = written[extra].to_numpy()
    notes = [(type(warning.message).__name__, str(warning.message)) for warning in caught]
    table = needed("pyarrow").table(columns)
    return parts.write(task.number, task.made_from, table, notes), block.num_rows


def _with_cells(column: "pa.ChunkedArray", completed: "pd.Series[Any]", filled: BoolArray) -> "pa.ChunkedArray":
    """A column with what was imputed in its missing cells; the others are those that were read."""
    pa = needed("pyarrow")
    types, type_ = pa.types, column.type
    plain = type_.value_type if types.is_dictionary(type_) else type_
    if pd.api.types.is_float_dtype(completed.dtype) and (types.is_string(plain) or types.is_large_string(plain)):
        # Numbers and limits as text (a censored column) come back as numbers.
        return pa.array(completed.to_numpy(dtype=float))
    if not filled.any():
        return column
    cells = completed[filled]
    if types.is_decimal(plain):
        new = pa.array(cells.astype(float)).cast(plain, safe=False)
    else:
        new = pa.array(cells.astype(object) if types.is_dictionary(type_) else cells, from_pandas=True)
        new = new.combine_chunks() if isinstance(new, pa.ChunkedArray) else new
        if types.is_null(plain) or (types.is_floating(new.type) and not types.is_floating(plain)):
            plain = type_ = new.type
        new = new.cast(plain)
    # All types can be taken from; fewer can be replaced in.
    place = np.arange(len(column))
    place[filled] = len(column) + np.arange(len(new))
    result = pa.concat_arrays([column.cast(plain).combine_chunks(), new]).take(pa.array(place))
    return result if type_ == plain else _encoded(result, column, type_)


def _encoded(values: "pa.Array", column: "pa.ChunkedArray", type_: "pa.DictionaryType") -> "pa.Array":
    """Labels as categories, in the order that the column's categories have; others come after these."""
    pa, pc = needed("pyarrow"), needed("pyarrow.compute")
    known = column.combine_chunks().dictionary
    lacking = pc.unique(values.filter(pc.invert(pc.is_in(values, known)))).drop_null()
    labels = pa.concat_arrays([known, lacking])
    codes = pc.index_in(values, labels).cast(type_.index_type)
    return pa.DictionaryArray.from_arrays(codes, labels, ordered=type_.ordered)


def _columns(imputer: Imputer, source: Source) -> list[str]:
    if not hasattr(imputer, "feature_names_in_"):
        raise InvalidInputError("the model was fitted to a table without column names, which files have; fit it again")
    names = [str(name) for name in imputer.feature_names_in_]
    lacking = [name for name in names if name not in source.columns]
    if lacking:
        raise InvalidInputError(f"{source.name} has no column {lacking[0]!r}; the model has the columns {names}")
    return names


def check_out(out: Path, source: Source, overwrite: bool) -> None:
    """See that a table can be completed into a file, before anything long is done; InvalidInputError says why not.

    It is there and may not be replaced, or is read, or would be by the same glob the next time, or its name does not
    say what it is.
    """
    format_of(out)
    check_destination(out, overwrite=overwrite, inputs=source.files)
    if source.pattern and out.resolve().match(str(Path(source.pattern).resolve())):
        raise InvalidInputError(f"{out} is a file that {source.pattern} would match next time; give it another name")


def _tell(notes: list[list[tuple[str, str]]]) -> None:
    """Give of warnings that differ in numbers alone the first, and say in how many blocks of rows there was one."""
    first: dict[tuple[str, str], str] = {}
    blocks = Counter[tuple[str, str]]()
    for told in notes:
        alike = {(kind, re.sub(r"\d[\d,.e+-]*", "#", message)): message for kind, message in reversed(told)}
        blocks.update(alike.keys())
        first = {**alike, **first}
    for (kind, words), message in list(first.items())[:MOST_WARNINGS]:
        where = f" (this, or the like, in {blocks[kind, words]} of {len(notes)} blocks of rows)"
        warnings.warn(message + where * (len(notes) > 1), getattr(errors, kind, UserWarning), stacklevel=5)


def _with_roles(imputer: Imputer, sample: Sample) -> list[Any]:
    """The columns, with what only the whole table tells of them."""
    roles = dict.fromkeys(sample.numbered, "whole numbers that count the rows")
    roles |= dict.fromkeys(sample.rare, "too few values to model")
    return [
        replace(column, serves=roles[column.name]) if column.name in roles and not column.serves else column
        for column in imputer._raw(sample.known)
    ]


def model_digest(imputer: Imputer) -> str:
    """A hash of all that decides how a fitted imputer completes rows, the same in every process."""
    digest = hashlib.sha256(f"{__version__} {torch.__version__} {imputer.joint_}".encode())
    asked = ("strategy", "n_draws_posterior", "discrete_output", "missing_values", "keep_empty_features")
    _feed(digest.update, {name: getattr(imputer, name, None) for name in (*asked, "add_indicator")})
    for value in (imputer._seed, imputer.joint_.state_dict(), imputer.columns_, imputer.layout_, imputer._schema):
        _feed(digest.update, value)
    return digest.hexdigest()


def _feed(update: Callable[[bytes], object], value: Any) -> None:
    """Hand a value of plain parts to a hash, piece by piece."""
    update(type(value).__name__.encode())
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        update(f"{value.dtype} {value.shape}".encode())
        update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            _feed(update, key)
            _feed(update, value[key])
    elif isinstance(value, (tuple, list)):
        for each in value:
            _feed(update, each)
    elif is_dataclass(value):
        for one in fields(value):
            _feed(update, getattr(value, one.name))
    else:
        update(repr(value).encode())
