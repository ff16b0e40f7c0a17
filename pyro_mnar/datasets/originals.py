"""Seven public tables out of their original files: named columns, codes for some levels, nothing else changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pyro_mnar.datasets.extra import needed
from pyro_mnar.datasets.files import SourceFile

_UCI = "https://archive.ics.uci.edu"
_OLD = f"{_UCI}/ml/machine-learning-databases"


@dataclass(frozen=True)
class Original:
    """The file that a table comes from, and what makes the table of it."""

    file: SourceFile
    read: Callable[[Path], pd.DataFrame]


_ADULT = (
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship"),
    *("race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"),
)
_AIRFOIL = (
    *("frequency_hz", "angle_of_attack_deg", "chord_m", "velocity_m_s", "displacement_thickness_m"),
    "sound_pressure_db",
)
_CMC = (
    *("wife_age", "wife_education", "husband_education", "children", "wife_religion", "wife_working"),
    *("husband_occupation", "living_standard", "media_exposure", "method"),
)
_POWER = (
    *("temperature_c", "exhaust_vacuum_cm_hg", "ambient_pressure_mbar", "relative_humidity_pct"),
    "energy_output_mw",
)
#: Codes in the order of the alphabet, as label encoders give them.
_BIKE_CODES: dict[str, dict[str, int]] = {
    "Seasons": {"Autumn": 0, "Spring": 1, "Summer": 2, "Winter": 3},
    "Holiday": {"Holiday": 0, "No Holiday": 1},
    "Functioning Day": {"No": 0, "Yes": 1},
}
_HEALTH_CODES = {"RiskLevel": {"high risk": 0, "low risk": 1, "mid risk": 2}}


def _adult(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, header=None, names=list(_ADULT), skipinitialspace=True, nrows=20_000, na_values=["?"])


def _airfoil(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, header=None, names=list(_AIRFOIL), sep="\t")


def _bike(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, encoding="latin-1").drop(columns="Date")
    table.columns = table.columns.str.replace("\N{DEGREE SIGN}", "")
    return _coded(table, _BIKE_CODES)


def _california(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).dropna().reset_index(drop=True)


def _cmc(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, header=None, names=list(_CMC))


def _health(path: Path) -> pd.DataFrame:
    return _coded(pd.read_csv(path, encoding="utf-8-sig"), _HEALTH_CODES)


def _power(path: Path) -> pd.DataFrame:
    needed("python_calamine")
    table = pd.read_excel(path, sheet_name="Sheet5", engine="calamine")
    table.columns = pd.Index(_POWER)
    return table


def _coded(table: pd.DataFrame, codes: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    return table.assign(**{column: table[column].map(dict(levels)) for column, levels in codes.items()})


ORIGINALS: dict[str, Original] = {
    "adult": Original(
        SourceFile(
            "adult.data",
            "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
            (f"{_OLD}/adult/adult.data", f"{_UCI}/static/public/2/adult.zip"),
        ),
        _adult,
    ),
    "airfoil": Original(
        SourceFile(
            "airfoil_self_noise.dat",
            "74c75fd71783f1e6b71f8a622b993dc592897a97cd689c5090a07147a1b097b3",
            (f"{_OLD}/00291/airfoil_self_noise.dat", f"{_UCI}/static/public/291/airfoil+self+noise.zip"),
        ),
        _airfoil,
    ),
    "bike": Original(
        SourceFile(
            "SeoulBikeData.csv",
            "373339b71a8935d69e9af0abf26a70744632119862eeb3919efb389a7b749c60",
            (f"{_OLD}/00560/SeoulBikeData.csv", f"{_UCI}/static/public/560/seoul+bike+sharing+demand.zip"),
        ),
        _bike,
    ),
    "california": Original(
        SourceFile(
            "housing.csv",
            "8a3727f4cf54ac1a327f69b1d5b4db54c5834ea81c6e4efc0d163300022a685e",
            tuple(
                f"https://raw.githubusercontent.com/ageron/handson-ml2/{version}/datasets/housing/housing.csv"
                for version in ("master", "aa555aa16b9d0af6c84e67c7757f3317d05acb12")
            ),
        ),
        _california,
    ),
    "cmc": Original(
        SourceFile(
            "cmc.data",
            "ad2a49da55df24b061a994ecc4d90c856aba35acd05138851aa251c4f06303c9",
            (f"{_OLD}/cmc/cmc.data", f"{_UCI}/static/public/30/contraceptive+method+choice.zip"),
        ),
        _cmc,
    ),
    "health": Original(
        SourceFile(
            "Maternal Health Risk Data Set.csv",
            "a1f7025719f84715096e0d1f95ae2e56b57809b9b15449e1836c96a7d976ae9b",
            (
                f"{_OLD}/00639/Maternal%20Health%20Risk%20Data%20Set.csv",
                f"{_UCI}/static/public/863/maternal+health+risk.zip",
            ),
        ),
        _health,
    ),
    "power": Original(
        SourceFile(
            "Folds5x2_pp.xlsx",
            "ccd490981db2a2f079963b3d9f0aea30d9d338900a0285428dfc6385396f4651",
            (f"{_OLD}/00294/CCPP.zip", f"{_UCI}/static/public/294/combined+cycle+power+plant.zip"),
        ),
        _power,
    ),
}
