"""Tables that stay on the disk: files of Parquet, Arrow and CSV, pyarrow's datasets, polars' lazy frames, in blocks.

pyarrow is imported when such a table is opened. One block of rows is in memory at a time, whatever the files' own row
groups are.
"""

import glob
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyro_mnar.data.foreign import check_distinct, imported
from pyro_mnar.errors import InvalidInputError, MNARError, one_line

if TYPE_CHECKING:
    import pyarrow as pa

#: What files are, by the end of their names.
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".csv": "csv",
}
#: What means "missing" in a CSV file without being told; the empty cell among them.
MISSING = frozenset({"", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "None"})
#: Rows that are read at a time, and bytes of a file: a column of a row group is not read as a whole.
_READ_ROWS, _READ_BYTES = 8192, 2**20

Batches = Iterator["pa.RecordBatch"]


@dataclass(frozen=True, eq=False)
class Source:
    """An open table on the disk.

    Attributes
    ----------
    name : str
        How errors call it.
    schema : pyarrow.Schema
        Names and types of its columns, with the file's own notes.
    files : tuple of Path
        What is read, and so is never written.
    read : callable
        Gives its rows from the first on, as batches of any size.
    pattern : str
        The glob that found the files, if there was one.
    left_out : frozenset of str
        Columns that are not to be modelled.
    """

    name: str
    schema: "pa.Schema"
    files: tuple[Path, ...]
    read: Callable[[], Batches]
    pattern: str = ""
    left_out: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[str]:
        """Names of its columns, without those that pandas keeps as an index, and those that were left out."""
        # A range is kept as its description, and is no column.
        index = (self.schema.pandas_metadata or {}).get("index_columns", [])
        return [name for name in self.schema.names if name not in index and name not in self.left_out]

    def without(self, columns: Collection[str]) -> "Source":
        """The same table with columns that are there, but are not to be modelled."""
        return replace(self, left_out=self.left_out | frozenset(columns))

    def count(self) -> int:
        """Number of its rows: from the files' notes where they have any, else in a pass over them."""
        with _reading(self.name):
            if self.files and all(format_of(path) == "parquet" for path in self.files):
                return sum(needed("pyarrow.parquet").read_metadata(path).num_rows for path in self.files)
            return sum(batch.num_rows for batch in self.read())

    def blocks(self, n_rows: int) -> Iterator["pa.Table"]:
        """Its rows in tables of ``n_rows`` each (the last may be shorter), however its files are cut."""
        held, count = [], 0
        with _reading(self.name):
            for batch in self.read():
                while batch.num_rows:
                    part = batch.slice(0, n_rows - count)
                    batch, count = batch.slice(part.num_rows), count + part.num_rows
                    held.append(part)
                    if count == n_rows:
                        yield _joined(held, self.schema)
                        held, count = [], 0
            if held:
                yield _joined(held, self.schema)


def is_source(X: object) -> bool:
    """Whether ``X`` is a table on the disk: a path, a glob, a ``pyarrow.dataset.Dataset``, or a polars LazyFrame."""
    here = isinstance(X, (str, os.PathLike, Source))
    return here or _is_a(X, "pyarrow.dataset", "Dataset") or _is_a(X, "polars", "LazyFrame")


@contextmanager
def open_source(X: Any) -> Iterator[Source]:
    """A table on the disk, open within the block.

    Files are Parquet, Arrow (Feather) or CSV, by the end of their names, and all of one schema. A LazyFrame is written
    to a temporary Parquet file by polars' own streaming engine. InvalidInputError for a file that is not there, or is
    no table, for files of different columns, and where pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "table.parquet"
    >>> pd.DataFrame({"a": [1, 2, 3]}).to_parquet(path)
    >>> with open_source(path) as source:
    ...     [block.num_rows for block in source.blocks(2)]
    [2, 1]
    """
    needed("pyarrow")
    if isinstance(X, Source):
        yield X
    elif _is_a(X, "polars", "LazyFrame"):
        with tempfile.TemporaryDirectory(prefix="pyro_mnar-") as folder:
            path = Path(folder) / "table.parquet"
            with _reading("the LazyFrame"):
                X.sink_parquet(path)
            found = _of_files([path], "")
            yield Source("the LazyFrame", found.schema, (), found.read)
    elif _is_a(X, "pyarrow.dataset", "Dataset"):
        files = tuple(Path(file) for file in getattr(X, "files", ()))

        def read() -> Batches:
            yield from X.to_batches(batch_size=_READ_ROWS, batch_readahead=1, fragment_readahead=1)

        check_distinct(X.schema.names, "of the dataset")
        yield Source("the dataset", X.schema, files, read)
    else:
        text = os.fspath(X)
        exact = Path(text).exists() or not glob.has_magic(text)
        paths = [Path(text)] if exact else [Path(path) for path in sorted(glob.glob(text, recursive=True))]
        if not paths:
            raise InvalidInputError(f"no file matches {text}")
        yield _of_files(paths, "" if exact else text)


def to_frame(table: "pa.Table") -> pd.DataFrame:
    """A block as pandas has it, each column with its Arrow type; categories are pandas' own, for their order's sake."""
    pa = needed("pyarrow")

    def mapped(type_: Any) -> Any:
        apart = pa.types.is_dictionary(type_) or pa.types.is_null(type_) or pa.types.is_decimal(type_)
        return None if apart else pd.ArrowDtype(type_)

    return table.to_pandas(types_mapper=mapped, ignore_metadata=True)


def needed(module: str) -> Any:
    """pyarrow, or a part of it; InvalidInputError where it is not installed."""
    return imported(module, "tables on the disk are read with pyarrow", "large")


def format_of(path: str | os.PathLike[str]) -> str:
    """What a file is, by the end of its name: "parquet", "arrow" or "csv"; InvalidInputError for another end."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise InvalidInputError(f"{os.fspath(path)!r} must end in one of {', '.join(FORMATS)}, which says what it is")
    return FORMATS[ending]


def common_type(first: "pa.DataType", second: "pa.DataType", also_numbers: bool = False) -> "pa.DataType | None":
    """The type that holds both: of a column without any value the other's, of whole and other numbers float64."""
    types = needed("pyarrow").types
    if first == second or types.is_null(second):
        return first
    if types.is_null(first):
        return second
    numbers = all(types.is_integer(each) or types.is_float64(each) for each in (first, second))
    return needed("pyarrow").float64() if also_numbers and numbers else None


def _is_a(X: object, module: str, name: str) -> bool:
    """Whether it is an object of that class; its library is not needed for the answer."""
    library = sys.modules.get(module)
    return library is not None and isinstance(X, getattr(library, name))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Errors of the libraries that read files, in one line with the name of what is read."""
    try:
        yield
    except (MNARError, MemoryError, KeyboardInterrupt, GeneratorExit):
        raise
    except FileNotFoundError as error:
        raise InvalidInputError(f"{name} is not there") from error
    except Exception as error:
        raise InvalidInputError(f"{name} cannot be read: {one_line(error)}") from error


def _joined(held: list[Any], schema: "pa.Schema") -> "pa.Table":
    pa = needed("pyarrow")
    return pa.Table.from_batches(held, schema).unify_dictionaries().combine_chunks()


def _of_files(paths: list[Path], pattern: str) -> Source:
    """Files with the same columns, one after the other."""
    pa = needed("pyarrow")
    schemas = [_schema(path) for path in paths]
    schema = schemas[0]
    for path, other in zip(paths[1:], schemas[1:], strict=True):
        schema = _agreed(schema, other, paths[0], path)

    def read() -> Batches:
        for path in paths:
            with _reading(str(path)):
                for batch in _batches(path, schema):
                    columns = [batch.column(name).cast(schema.field(name).type) for name in schema.names]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)

    name = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more files"
    return Source(name, schema, tuple(paths), read, pattern)


def _schema(path: Path) -> "pa.Schema":
    kind = format_of(path)
    with _reading(str(path)):
        if path.is_dir():
            raise InvalidInputError(f"{path} is a folder; name its files, as in {path / '*.parquet'}")
        if kind == "parquet":
            found = needed("pyarrow.parquet").read_schema(path)
        elif kind == "arrow":
            with needed("pyarrow").OSFile(str(path)) as file:
                found = needed("pyarrow.ipc").open_file(file).schema
        else:
            found = _open_csv(path, None).schema
    check_distinct(found.names, f"of {path}")
    return found


def _agreed(schema: "pa.Schema", other: "pa.Schema", first: Path, path: Path) -> "pa.Schema":
    """The first file's columns, which the other file has too."""
    lacking = [name for name in schema.names if name not in other.names]
    if lacking:
        raise InvalidInputError(f"{path} has no column {lacking[0]!r}, which {first} has; files must have the same")
    new = [name for name in other.names if name not in schema.names]
    if new:
        raise InvalidInputError(f"{path} has the column {new[0]!r}, which {first} has not; files must have the same")
    for place, field in enumerate(schema):
        given = other.field(field.name).type
        common = common_type(field.type, given, also_numbers=format_of(path) == "csv")
        if common is None:
            raise InvalidInputError(
                f"column {field.name!r} has the type {given} in {path}, but {field.type} in {first}; give it one type"
            )
        schema = schema.set(place, field.with_type(common))
    return schema


def _batches(path: Path, schema: "pa.Schema") -> Batches:
    kind = format_of(path)
    if kind == "parquet":
        # Through a buffer: the columns of a row group as large as the file would be held as a whole otherwise.
        file = needed("pyarrow.parquet").ParquetFile(path, buffer_size=_READ_BYTES, pre_buffer=False)
        with file:
            yield from file.iter_batches(_READ_ROWS, use_threads=False)
    elif kind == "arrow":
        pa = needed("pyarrow")
        with pa.memory_map(str(path)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for place in range(reader.num_record_batches):
                yield reader.get_batch(place)
    else:
        try:
            yield from _open_csv(path, {field.name: field.type for field in schema})
        except needed("pyarrow").ArrowInvalid as error:
            raise InvalidInputError(
                f"{path} cannot be read: {one_line(error)} (what a column is, was found from the first megabyte; give "
                "its type, as in pyarrow.dataset.dataset(path, schema=...), or write the table as Parquet)"
            ) from error


def _open_csv(path: Path, types: dict[str, Any] | None) -> Any:
    csv = needed("pyarrow.csv")
    convert = csv.ConvertOptions(column_types=types, null_values=sorted(MISSING), strings_can_be_null=True)
    return csv.open_csv(path, read_options=csv.ReadOptions(use_threads=False), convert_options=convert)
