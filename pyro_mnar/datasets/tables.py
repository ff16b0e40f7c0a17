"""Seven public tables with the kinds of columns that people have, from their originals or as CSV files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import one_of, path_only, whole_number
from pyro_mnar.datasets.extra import needed
from pyro_mnar.datasets.files import FOLDER_VARIABLE, SourceFile, checked, download, named_folder
from pyro_mnar.errors import ChecksumError, DatasetError, one_line

_CC_BY = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
_UCI = "https://archive.ics.uci.edu"
_OLD = f"{_UCI}/ml/machine-learning-databases"
_ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
]
_AIRFOIL = [
    *("frequency_hz", "angle_of_attack_deg", "chord_m", "velocity_m_s", "displacement_thickness_m"),
    "sound_pressure_db",
]
_CMC = [
    *("wife_age", "wife_education", "husband_education", "children", "wife_religion", "wife_working"),
    *("husband_occupation", "living_standard", "media_exposure", "method"),
]
_POWER = [
    *("temperature_c", "exhaust_vacuum_cm_hg", "ambient_pressure_mbar", "relative_humidity_pct"),
    "energy_output_mw",
]
#: Codes in the order of the alphabet, as label encoders give them.
_BIKE_CODES: dict[str, dict[str, int]] = {
    "Seasons": {"Autumn": 0, "Spring": 1, "Summer": 2, "Winter": 3},
    "Holiday": {"Holiday": 0, "No Holiday": 1},
    "Functioning Day": {"No": 0, "Yes": 1},
}
_HEALTH_CODES = {"RiskLevel": {"high risk": 0, "low risk": 1, "mid risk": 2}}


@dataclass(frozen=True)
class PublicTable:
    """What is known of a table.

    Attributes
    ----------
    file : SourceFile
        The original.
    read : callable
        From the path of the original to the table: named columns, codes for some levels, nothing else changed.
    sha256 : str
        Of the table's cells and column names, written as CSV with ten digits.
    shape : tuple of int
        Rows and columns.
    original, licence, citation : str
        Address of the original's description; terms of use; authors, year and DOI.
    changes : str
        How the table differs from the original.
    """

    file: SourceFile
    read: Callable[[Path], pd.DataFrame]
    sha256: str
    shape: tuple[int, int]
    original: str
    licence: str
    citation: str
    changes: str


def _bike(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, encoding="latin-1").drop(columns="Date")
    table.columns = table.columns.str.replace("\N{DEGREE SIGN}", "")
    return _coded(table, _BIKE_CODES)


def _california(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).dropna().reset_index(drop=True)


def _health(path: Path) -> pd.DataFrame:
    return _coded(pd.read_csv(path, encoding="utf-8-sig"), _HEALTH_CODES)


def _power(path: Path) -> pd.DataFrame:
    needed("python_calamine")
    return pd.read_excel(path, sheet_name="Sheet5", engine="calamine").set_axis(_POWER, axis=1)


def _coded(table: pd.DataFrame, codes: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    return table.assign(**{column: table[column].map(dict(levels)) for column, levels in codes.items()})


TABLES: dict[str, PublicTable] = {
    "adult": PublicTable(
        SourceFile(
            "adult.data",
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            (f"{_OLD}/adult/adult.data", f"{_UCI}/static/public/2/adult.zip"),
        ),
        lambda path: pd.read_csv(path, header=None, names=_ADULT, skipinitialspace=True, nrows=20_000, na_values=["?"]),
        "3212377884038efa9e13487fd0508e805a6c2717211520e99a3cc5b7654292f3",
        (20_000, 15),
        f"{_UCI}/dataset/2/adult",
        _CC_BY,
        "B. Becker, R. Kohavi, Adult, UCI Machine Learning Repository, 1996, DOI 10.24432/C5XW20",
        "the first 20,000 rows, columns named; ? is missing",
    ),
    "airfoil": PublicTable(
        SourceFile(
            "airfoil_self_noise.dat",
            "74c75fd71783f1e6b71f8a622b993dc592897a97cd689c5090a07147a1b097b3",
            (f"{_OLD}/00291/airfoil_self_noise.dat", f"{_UCI}/static/public/291/airfoil+self+noise.zip"),
        ),
        lambda path: pd.read_csv(path, header=None, names=_AIRFOIL, sep="\t"),
        "360947e211d04ae16e4026771a790f6eda072b18fd10d584c605b4b8798f4052",
        (1_503, 6),
        f"{_UCI}/dataset/291/airfoil+self+noise",
        _CC_BY,
        "T. Brooks, D. Pope, M. Marcolini, Airfoil Self-Noise, UCI Machine Learning Repository, 1989, "
        "DOI 10.24432/C5VW2C",
        "columns named",
    ),
    "bike": PublicTable(
        SourceFile(
            "SeoulBikeData.csv",
            "373339b71a8935d69e9af0abf26a70744632119862eeb3919efb389a7b749c60",
            (f"{_OLD}/00560/SeoulBikeData.csv", f"{_UCI}/static/public/560/seoul+bike+sharing+demand.zip"),
        ),
        _bike,
        "b61ff2f720ffd776eb707e9bae1b0c50a971ccc201a7fb183fbac37afe270f74",
        (8_760, 13),
        f"{_UCI}/dataset/560/seoul+bike+sharing+demand",
        _CC_BY,
        "Seoul Bike Sharing Demand, UCI Machine Learning Repository, 2020, DOI 10.24432/C5F62R",
        "without the date; codes for levels: autumn 0, spring 1, summer 2, winter 3; holiday 0, not 1; functioning 1",
    ),
    "california": PublicTable(
        SourceFile(
            "housing.csv",
            "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
            tuple(
                f"https://raw.githubusercontent.com/ageron/handson-ml2/{version}/datasets/housing/housing.csv"
                for version in ("master", "aa555aa16b9d0af6c84e67c7757f3317d05acb12")
            ),
        ),
        _california,
        "d58aff7589191519a9544f2ff455eb1486ca849526781e2b48f4c3f462da9f2d",
        (20_433, 10),
        "http://lib.stat.cmu.edu/datasets/houses.zip",
        "no licence stated (StatLib)",
        "R. K. Pace, R. Barry, Sparse Spatial Autoregressions, Statistics and Probability Letters 33, 1997",
        "A. Géron's version with ocean_proximity, its rows without holes",
    ),
    "cmc": PublicTable(
        SourceFile(
            "cmc.data",
            "ad2a49da55df24b061a994ecc4d90c856aba35acd05138851aa251c4f06303c9",
            (f"{_OLD}/cmc/cmc.data", f"{_UCI}/static/public/30/contraceptive+method+choice.zip"),
        ),
        lambda path: pd.read_csv(path, header=None, names=_CMC),
        "b5505d76723dfdb8fcca6420cd549e995e69f1cc90dc9daa2f5f8a621305d9b7",
        (1_473, 10),
        f"{_UCI}/dataset/30/contraceptive+method+choice",
        _CC_BY,
        "T.-S. Lim, Contraceptive Method Choice, UCI Machine Learning Repository, 1999, DOI 10.24432/C59W2D",
        "columns named",
    ),
    "health": PublicTable(
        SourceFile(
            "Maternal Health Risk Data Set.csv",
            "a1f7025719f84715096e0d1f95ae2e56b57809b9b15449e1836c96a7d976ae9b",
            (
                f"{_OLD}/00639/Maternal%20Health%20Risk%20Data%20Set.csv",
                f"{_UCI}/static/public/863/maternal+health+risk.zip",
            ),
        ),
        _health,
        "5352115d134cce70399680a9ccc283399247112c4b1b18d8d4d950d4de0a4012",
        (1_014, 7),
        f"{_UCI}/dataset/863/maternal+health+risk",
        _CC_BY,
        "M. Ahmed, Maternal Health Risk, UCI Machine Learning Repository, 2020, DOI 10.24432/C5DP5D",
        "the risk as a code without an order: 0 high, 1 low, 2 middle",
    ),
    "power": PublicTable(
        SourceFile(
            "Folds5x2_pp.xlsx",
            "ccd490981db2a2f079963b3d9f0aea30d9d338900a0285428dfc6385396f4651",
            (f"{_OLD}/00294/CCPP.zip", f"{_UCI}/static/public/294/combined+cycle+power+plant.zip"),
        ),
        _power,
        "1517b8e18de57af9f79bd574bc0f5c74d64bdea70cf0477ae615783f2ed7e4b5",
        (9_568, 5),
        f"{_UCI}/dataset/294/combined+cycle+power+plant",
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
    path = download(TABLES[name].file) if folder is None else _found(name, folder)
    return sample_rows(_read(name, path), most)


def _found(name: str, folder: Path) -> Path:
    """The CSV file if it is there, else the original with the right checksum."""
    original = TABLES[name].file
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
    known = TABLES[name]
    try:
        if path.name == known.file.name:
            table = known.read(path)
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
    return f"put {TABLES[name].file.addresses[0]} there in its place"


def sample_rows(table: pd.DataFrame, rows: int | None) -> pd.DataFrame:
    """At most so many rows of a table, drawn at random once and in their order; None takes all. Rows count from 0.

    Examples
    --------
    >>> len(sample_rows(pd.DataFrame({"a": range(9)}), 4)), len(sample_rows(pd.DataFrame({"a": range(9)}), None))
    (4, 9)
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(table))[:rows])
    return table.iloc[chosen].reset_index(drop=True)
