"""Seven public tables with the kinds of columns that people have, from their originals or as CSV files."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import one_of, path_only, whole_number
from pyro_mnar.datasets.files import FOLDER_VARIABLE, checked, download, named_folder
from pyro_mnar.datasets.originals import ORIGINALS
from pyro_mnar.errors import ChecksumError, DatasetError, one_line

_CC_BY = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
_UCI = "https://archive.ics.uci.edu/dataset"


@dataclass(frozen=True)
class PublicTable:
    """What is known of a table.

    Attributes
    ----------
    sha256 : str
        Of its cells and column names, written as CSV with ten digits.
    shape : tuple of int
        Rows and columns.
    original, licence, citation : str
        Address of the original's description; terms of use; authors, year and DOI.
    changes : str
        How the table differs from the original.
    """

    sha256: str
    shape: tuple[int, int]
    original: str
    licence: str
    citation: str
    changes: str


TABLES: dict[str, PublicTable] = {
    "adult": PublicTable(
        "3212377884038efa9e13487fd0508e805a6c2717211520e99a3cc5b7654292f3",
        (20_000, 15),
        f"{_UCI}/2/adult",
        _CC_BY,
        "B. Becker, R. Kohavi, Adult, UCI Machine Learning Repository, 1996, DOI 10.24432/C5XW20",
        "the first 20,000 rows, columns named; ? is missing",
    ),
    "airfoil": PublicTable(
        "360947e211d04ae16e4026771a790f6eda072b18fd10d584c605b4b8798f4052",
        (1_503, 6),
        f"{_UCI}/291/airfoil+self+noise",
        _CC_BY,
        "T. Brooks, D. Pope, M. Marcolini, Airfoil Self-Noise, UCI Machine Learning Repository, 1989, "
        "DOI 10.24432/C5VW2C",
        "columns named",
    ),
    "bike": PublicTable(
        "b61ff2f720ffd776eb707e9bae1b0c50a971ccc201a7fb183fbac37afe270f74",
        (8_760, 13),
        f"{_UCI}/560/seoul+bike+sharing+demand",
        _CC_BY,
        "Seoul Bike Sharing Demand, UCI Machine Learning Repository, 2020, DOI 10.24432/C5F62R",
        "without the date; codes for levels: autumn 0, spring 1, summer 2, winter 3; holiday 0, not 1; functioning 1",
    ),
    "california": PublicTable(
        "d58aff7589191519a9544f2ff455eb1486ca849526781e2b48f4c3f462da9f2d",
        (20_433, 10),
        "http://lib.stat.cmu.edu/datasets/houses.zip",
        "no licence stated (StatLib)",
        "R. K. Pace, R. Barry, Sparse Spatial Autoregressions, Statistics and Probability Letters 33, 1997",
        "A. Géron's version with ocean_proximity, its rows without holes",
    ),
    "cmc": PublicTable(
        "b5505d76723dfdb8fcca6420cd549e995e69f1cc90dc9daa2f5f8a621305d9b7",
        (1_473, 10),
        f"{_UCI}/30/contraceptive+method+choice",
        _CC_BY,
        "T.-S. Lim, Contraceptive Method Choice, UCI Machine Learning Repository, 1999, DOI 10.24432/C59W2D",
        "columns named",
    ),
    "health": PublicTable(
        "5352115d134cce70399680a9ccc283399247112c4b1b18d8d4d950d4de0a4012",
        (1_014, 7),
        f"{_UCI}/863/maternal+health+risk",
        _CC_BY,
        "M. Ahmed, Maternal Health Risk, UCI Machine Learning Repository, 2020, DOI 10.24432/C5DP5D",
        "the risk as a code without an order: 0 high, 1 low, 2 middle",
    ),
    "power": PublicTable(
        "1517b8e18de57af9f79bd574bc0f5c74d64bdea70cf0477ae615783f2ed7e4b5",
        (9_568, 5),
        f"{_UCI}/294/combined+cycle+power+plant",
        _CC_BY,
        "P. Tufekci, H. Kaya, Combined Cycle Power Plant, UCI Machine Learning Repository, 2014, DOI 10.24432/C5002N",
        "the fifth sheet (each holds all rows, in an order of its own), columns named in full",
    ),
}


def load_table(name: str, rows: int | None = None, data_home: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """Load a public table by its name: numbers as numbers, text as text, codes as codes.

    The original file is downloaded once into the cache (the extra ``studies``), or read from a folder. What is read is
    compared with a checksum of the table, so that all ways lead to the same one.
    ``pyro_mnar.datasets.tables.TABLES`` holds terms of use, citation and what was changed: airfoil, california, cmc and
    power have the values of their originals, adult is the first 20,000 rows, bike and health have codes for levels.

    Parameters
    ----------
    name : {"adult", "airfoil", "bike", "california", "cmc", "health", "power"}
        Which one.
    rows : int or None
        At most so many rows, drawn at random, the same each time; None takes all.
    data_home : path or None
        Folder that holds ``NAME.csv`` or the original, or holds it in a folder ``tables`` or ``uci``. None means the
        environment variable ``PYRO_MNAR_DATA``; without that, a download where the cache does not have it.

    Returns
    -------
    DataFrame
        Shape (n, p), rows counted from 0. Only adult has missing cells, which are ``?`` in the original.

    Raises
    ------
    InvalidInputError
        If there is no such name, ``rows`` is no whole number from 1 on, or ``data_home`` no path.
    DatasetError
        If the folder does not hold the file, the cache cannot be written, or the extra is needed and not installed.
    ChecksumError
        If a file differs from the expected one.
    DownloadError
        If no address could be reached; the message says what to do without a network.

    Examples
    --------
    >>> load_table("iris")
    Traceback (most recent call last):
        ...
    pyro_mnar.errors.InvalidInputError: name is 'iris'; it must be 'adult', 'airfoil', 'bike', 'california', ...
    """
    one_of("name", name, tuple(TABLES))
    if data_home is not None:
        path_only("data_home", data_home)
    most = None if rows is None else whole_number("rows", rows)
    folder = named_folder(data_home)
    path = download(ORIGINALS[name].file) if folder is None else _found(name, folder)
    return sample_rows(_read(name, path), most)


def _found(name: str, folder: Path) -> Path:
    """The CSV file if it is there, else the original with the right checksum."""
    original = ORIGINALS[name].file
    csv = [folder / f"{name}.csv", folder / "tables" / f"{name}.csv"]
    originals = [folder / original.name, folder / "tables" / original.name, folder / "uci" / original.name]
    found = next((path for path in (*csv, *originals) if path.is_file()), None)
    if found is None:
        raise DatasetError(
            f"neither {name}.csv nor {original.name} is in {folder} or in its folder tables or uci: put "
            f"{original.addresses[0]} there, or unset {FOLDER_VARIABLE} and data_home to have it downloaded"
        )
    return found if found in csv else checked(found, original.sha256, original.addresses[0])


def _read(name: str, path: Path) -> pd.DataFrame:
    """The table in a CSV file or in an original, seen to be what it should be."""
    original, known = ORIGINALS[name], TABLES[name]
    try:
        if path.name == original.file.name:
            table = original.read(path)
        else:
            table = pd.read_csv(path, na_values=["?"])
            # Earlier copies of adult.csv have a letter too many in one cell.
            table = table.replace("Never-mwarried", "Never-married") if name == "adult" else table
    except ValueError as error:
        raise ChecksumError(f"{path} is not the table {name} ({one_line(error)}); {_instead(name)}") from error
    written = table.to_csv(index=False, lineterminator="\n", na_rep="?", float_format="%.10g")
    found = hashlib.sha256(written.encode()).hexdigest()
    if found != known.sha256:
        raise ChecksumError(
            f"{path} holds a table of shape {table.shape} with sha256 {found}, not {name} of shape {known.shape} with "
            f"{known.sha256}: it is damaged or another version; {_instead(name)}"
        )
    return table


def _instead(name: str) -> str:
    return f"put {ORIGINALS[name].file.addresses[0]} there in its place"


def sample_rows(table: pd.DataFrame, rows: int | None) -> pd.DataFrame:
    """At most so many rows of a table, drawn at random once and in their order; None takes all. Rows count from 0.

    Examples
    --------
    >>> len(sample_rows(pd.DataFrame({"a": range(9)}), 4)), len(sample_rows(pd.DataFrame({"a": range(9)}), None))
    (4, 9)
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(table))[:rows])
    return table.iloc[chosen].reset_index(drop=True)
