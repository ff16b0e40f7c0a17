"""Seven public tables with the kinds of columns that people have, as CSV files in a folder of the caller's.

The originals have other formats (spaces, no header, dates in the file): these files hold their values with a header
line, so they cannot be downloaded as they are, and :data:`TABLES` says where the originals are described.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pyro_mnar.errors import DatasetError, InvalidInputError
from pyro_mnar.studies.sources.files import FOLDER_VARIABLE, checked
from pyro_mnar.studies.sources.uci import Dataset, Folder

_CC_BY = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
_UCI = "https://archive.ics.uci.edu/dataset"


@dataclass(frozen=True)
class TableFile:
    """A CSV file, its checksum, and the original that its values are from.

    Attributes
    ----------
    sha256 : str
        Of the CSV file.
    shape : tuple of int
        Rows (without the header) and columns.
    original, licence, citation : str
        Address of the original's description; terms of use; authors, year and DOI.
    changes : str
        How the CSV file differs from the original.
    """

    sha256: str
    shape: tuple[int, int]
    original: str
    licence: str
    citation: str
    changes: str


TABLES: dict[str, TableFile] = {
    "adult": TableFile(
        "17b381d37ebe37bcec7545c6db34a81ca38343a34fc5501a5d8a73f37ec0a2e5",
        (20_000, 15),
        f"{_UCI}/2/adult",
        _CC_BY,
        "B. Becker, R. Kohavi, Adult, UCI Machine Learning Repository, 1996, DOI 10.24432/C5XW20",
        "the first 20,000 rows, a header; ? is missing",
    ),
    "airfoil": TableFile(
        "beef510508124d032139dde4b220f20f73cf8ab51fca70c533fb8b35ef7238c7",
        (1_503, 6),
        f"{_UCI}/291/airfoil+self+noise",
        _CC_BY,
        "T. Brooks, D. Pope, M. Marcolini, Airfoil Self-Noise, UCI Machine Learning Repository, 1989, "
        "DOI 10.24432/C5VW2C",
        "a header, commas for tabs",
    ),
    "bike": TableFile(
        "9e6dd647ef00c799f810ced3b28aec7ee7270f8cc1aa00b189abfb0260a7cc2d",
        (8_760, 13),
        f"{_UCI}/560/seoul+bike+sharing+demand",
        _CC_BY,
        "Seoul Bike Sharing Demand, UCI Machine Learning Repository, 2020, DOI 10.24432/C5F62R",
        "without the date; seasons, holidays and functioning days as codes",
    ),
    "california": TableFile(
        "966d490e271f052ea802d12a05256f376c0a0f34436cd474dba9370eec63693d",
        (20_433, 10),
        "http://lib.stat.cmu.edu/datasets/houses.zip",
        "no licence stated (StatLib)",
        "R. K. Pace, R. Barry, Sparse Spatial Autoregressions, Statistics and Probability Letters 33, 1997",
        "rows without holes, with total_bedrooms and ocean_proximity",
    ),
    "cmc": TableFile(
        "b5505d76723dfdb8fcca6420cd549e995e69f1cc90dc9daa2f5f8a621305d9b7",
        (1_473, 10),
        f"{_UCI}/30/contraceptive+method+choice",
        _CC_BY,
        "T.-S. Lim, Contraceptive Method Choice, UCI Machine Learning Repository, 1999, DOI 10.24432/C59W2D",
        "a header",
    ),
    "health": TableFile(
        "d333d3d072cdb77ee10ce598873f849088309210d6462c669e6d0ad03b2cabcd",
        (1_014, 7),
        f"{_UCI}/863/maternal+health+risk",
        _CC_BY,
        "M. Ahmed, Maternal Health Risk, UCI Machine Learning Repository, 2020, DOI 10.24432/C5DP5D",
        "the risk level as a code, 0 low to 2 high",
    ),
    "power": TableFile(
        "1517b8e18de57af9f79bd574bc0f5c74d64bdea70cf0477ae615783f2ed7e4b5",
        (9_568, 5),
        f"{_UCI}/294/combined+cycle+power+plant",
        _CC_BY,
        "P. Tufekci, H. Kaya, Combined Cycle Power Plant, UCI Machine Learning Repository, 2014, DOI 10.24432/C5002N",
        "its first sheet as CSV, columns named in full",
    ),
}


def public_table(name: str, data_home: Folder = None) -> Dataset:
    """Load a table by its name, every column as it is: numbers as numbers, text as text, codes as codes.

    Parameters
    ----------
    name : {"adult", "airfoil", "bike", "california", "cmc", "health", "power"}
        Which one.
    data_home : path or None
        Folder that holds ``NAME.csv``, or holds it in a folder ``tables``; None means ``PYRO_MNAR_DATA``.

    Returns
    -------
    Dataset
        All columns in ``data``, shape (n, p), without a target; ``?`` of adult is missing.

    Raises
    ------
    InvalidInputError
        If there is no such name.
    DatasetError
        If no folder is named, or it does not hold the file.
    ChecksumError
        If the file differs from the expected one.
    """
    if name not in TABLES:
        raise InvalidInputError(f"there is no table {name!r}; the names are {sorted(TABLES)}")
    source = TABLES[name]
    table = pd.read_csv(_found(name, source, data_home), na_values=["?"] if name == "adult" else None)
    return Dataset(name, table, None, source.original, source.licence, source.citation)


def _found(name: str, source: TableFile, data_home: Folder) -> Path:
    folder = data_home if data_home is not None else os.environ.get(FOLDER_VARIABLE) or None
    rows, columns = source.shape
    what = f"{name}.csv ({rows:,} rows and {columns} columns of {source.original}; {source.changes})"
    if folder is None:
        raise DatasetError(f"{what} is not downloaded: name the folder that holds it in {FOLDER_VARIABLE} or data_home")
    candidates = [Path(folder) / f"{name}.csv", Path(folder) / "tables" / f"{name}.csv"]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise DatasetError(f"{what} is neither at {candidates[0]} nor at {candidates[1]}: put it there")
    return checked(path, source.sha256, what)


def sample_rows(table: pd.DataFrame, rows: int | None) -> pd.DataFrame:
    """At most so many rows of a table, drawn at random once and in their order; None takes all. Rows count from 0.

    Examples
    --------
    >>> len(sample_rows(pd.DataFrame({"a": range(9)}), 4)), len(sample_rows(pd.DataFrame({"a": range(9)}), None))
    (4, 9)
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(table))[:rows])
    return table.iloc[chosen].reset_index(drop=True)
