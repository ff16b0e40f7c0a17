"""Simulated tables with the columns of the public ones, so that what reads these runs where there is no network."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd

_LABELS = {
    "workclass": ["Private", "Local-gov", "Self-emp"],
    "marital_status": ["Married-civ-spouse", "Never-married"],
    "occupation": ["Adm-clerical", "Craft-repair", "Sales"],
    "sex": ["Female", "Male"],
    "ocean_proximity": ["<1H OCEAN", "INLAND", "NEAR BAY"],
}
#: Name, and mean, spread and smallest value; whole numbers but for places, incomes and the weather.
_NUMBERS = {
    "adult": {
        "age": (38, 13, 17),
        "education_num": (10, 2.5, 1),
        "capital_gain": (-1000, 2000, 0),
        "hours_per_week": (40, 12, 1),
    },
    "california": {
        "longitude": (-119.5, 2.0, -124.3),
        "latitude": (35.6, 2.1, 32.5),
        "housing_median_age": (28, 12, 1),
        "total_rooms": (2600, 900, 2),
        "total_bedrooms": (530, 180, 1),
        "population": (1400, 500, 3),
        "households": (500, 170, 1),
        "median_income": (3.9, 1.5, 0.5),
        "median_house_value": (200_000, 80_000, 15_000),
    },
    "bike": {
        "Rented Bike Count": (700, 500, 0),
        "Hour": (11, 6, 0),
        "Temperature(C)": (13.0, 12.0, -17.0),
        "Humidity(%)": (58, 20, 0),
        "Wind speed (m/s)": (1.7, 1.0, 0.0),
        "Dew point temperature(C)": (4.0, 13.0, -30.0),
        "Rainfall(mm)": (-2.0, 2.0, 0.0),
    },
}
_TEXT = {"adult": ("workclass", "marital_status", "occupation", "sex"), "california": ("ocean_proximity",), "bike": ()}


def stand_in(name: str, rows: int | None = None, data_home: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """In the place of ``pyro_mnar.datasets.load_table``: 600 rows unless so many are asked for."""
    rng = np.random.default_rng(0)
    n = 600 if rows is None else rows
    z = rng.normal(size=n)
    table = {}
    for column, (mean, spread, smallest) in _NUMBERS[name].items():
        values = np.maximum(mean + spread * (0.6 * z + 0.8 * rng.normal(size=n)), smallest)
        table[column] = np.rint(values).astype(int) if isinstance(mean, int) else values.round(1)
    for column in _TEXT[name]:
        table[column] = rng.choice(_LABELS[column], n)
    if name == "adult":
        table["income"] = np.where(z + 0.5 * rng.normal(size=n) > 0.7, ">50K", "<=50K")
    return pd.DataFrame(table)
