"""A large file in the making: finished parts in a folder beside it, each known by what it was made from, then one file.

A part's name says its number, what it was made from (rows and model), and the checksum of its content: after a kill the
same call finds what is finished, whole, and its own.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_mnar.data.atomic import check_folder_of, flush, replacing, sha256, temporary_path
from pyro_mnar.data.sources import common_type, format_of, needed
from pyro_mnar.errors import FileFormatError, InvalidInputError, one_line

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(r"\d{7}-[0-9a-f]{16}-[0-9a-f]{16}\.part")
_NOTES = b"pyro_mnar"
#: Rows and bytes of a row group of the file.
_GROUP_ROWS, _GROUP_BYTES = 2**17, 64 * 2**20


class Parts(NamedTuple):
    """The parts of one file, in a folder beside it until the file is whole."""

    folder: Path

    @classmethod
    def of(cls, out: Path) -> "Parts":
        """Those of the file ``out``, whose folder is there; theirs is made."""
        check_folder_of(out)
        folder = out.with_name(out.name + ".parts")
        if folder.exists() and not folder.is_dir():
            raise InvalidInputError(f"{folder} is not a folder, which parts of {out.name} need; move it away")
        folder.mkdir(exist_ok=True)
        return cls(folder)

    def find(self, number: int, made_from: str) -> Path | None:
        """The part with this number that was made from this, if it is there and whole; others of that number go."""
        found = None
        for path in self.folder.glob(f"{number:07d}-*.part"):
            _, source, content = path.stem.split("-") if _NAME.fullmatch(path.name) else ("", "", "")
            if source == made_from and content == sha256(path)[:16]:
                found = path
            elif _NAME.fullmatch(path.name):
                path.unlink()
        return found

    def write(self, number: int, made_from: str, table: "pa.Table", notes: Any) -> Path:
        """A part that is finished; ``notes`` are anything that JSON holds."""
        pa = needed("pyarrow")
        schema = table.schema.with_metadata({_NOTES: json.dumps(notes)})
        with temporary_path(self.folder / "part") as temporary:
            with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, schema) as writer:
                writer.write_table(table.replace_schema_metadata(schema.metadata))
            flush(temporary)
            final = self.folder / f"{number:07d}-{made_from}-{sha256(temporary)[:16]}.part"
            os.replace(temporary, final)
        flush(self.folder)
        return final

    def join(self, paths: Sequence[Path], out: Path, source: "pa.Schema") -> list[Any]:
        """One file of all parts in their order, with the notes that the table had itself; the parts' notes.

        FileFormatError where a part was changed while the file was made.
        """
        schemas, notes = [], []
        for path in paths:
            with _opened(path) as reader:
                schemas.append(reader.schema)
                notes.append(json.loads(reader.schema.metadata[_NOTES]))
        schema = _common_schema(schemas)
        schema = schema.with_metadata(_kept_metadata(schema, source))
        with replacing(out) as temporary, _writer(temporary, out, schema) as writer:
            for table in _groups(paths, schema):
                writer.write_table(table)
        return notes

    def remove(self) -> None:
        """Take the parts away."""
        for path in self.folder.iterdir():
            if _NAME.fullmatch(path.name):
                path.unlink()

    def leave(self) -> None:
        """Take the folder away if nothing is in it, of anyone."""
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _opened(path: Path) -> Any:
    pa = needed("pyarrow")
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (OSError, pa.ArrowException) as error:
        raise FileFormatError(f"{path} was changed or removed meanwhile ({one_line(error)}); start again") from error


def _kept_metadata(schema: "pa.Schema", source: "pa.Schema") -> dict[bytes, bytes] | None:
    """The notes of the table; those of pandas about columns' types only where these have not changed."""
    kept = dict(source.metadata or {})
    if b"pandas" in kept:
        notes = json.loads(kept[b"pandas"])
        same = {field.name for field in source if schema.get_field_index(field.name) >= 0}
        same = {name for name in same if schema.field(name).type == source.field(name).type}
        notes["columns"] = [column for column in notes["columns"] if column.get("field_name") in same]
        kept[b"pandas"] = json.dumps(notes).encode()
    return kept or None


def _common_schema(schemas: Sequence[Any]) -> "pa.Schema":
    """Types that hold what every part has."""
    schema = schemas[0]
    for other in schemas[1:]:
        for place, field in enumerate(schema):
            common = common_type(field.type, other.field(field.name).type, also_numbers=True)
            if common is None:
                raise InvalidInputError(
                    f"column {field.name!r} would be {field.type} in some rows and {other.field(field.name).type} in "
                    "others; declare its kind in 'types' when fitting"
                )
            schema = schema.set(place, field.with_type(common))
    return schema


def _groups(paths: Sequence[Path], schema: "pa.Schema") -> Iterator["pa.Table"]:
    """The parts' rows, as many at a time as make a row group."""
    pa = needed("pyarrow")
    held: list[Any] = []
    for path in paths:
        if path.stem.split("-")[2] != sha256(path)[:16]:
            raise FileFormatError(f"{path} was changed meanwhile; start again")
        with _opened(path) as reader:
            held.append(reader.read_all().cast(schema))
        if sum(map(len, held)) >= _GROUP_ROWS or sum(table.nbytes for table in held) >= _GROUP_BYTES:
            yield pa.concat_tables(held).unify_dictionaries()
            held = []
    if held:
        yield pa.concat_tables(held).unify_dictionaries()


def _writer(temporary: Path, out: Path, schema: "pa.Schema") -> Any:
    kind = format_of(out)
    if kind == "parquet":
        return needed("pyarrow.parquet").ParquetWriter(temporary, schema)
    if kind == "csv":
        return needed("pyarrow.csv").CSVWriter(temporary, schema)
    return needed("pyarrow.ipc").new_file(str(temporary), schema)
