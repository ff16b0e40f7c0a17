"""The three prediction tasks: rows, split, and values that go missing because of themselves."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.model_selection import train_test_split

from pyro_mnar.data.kinds.declared import Kind, OneHot
from pyro_mnar.studies.sources import load

FloatArray = npt.NDArray[np.float64]

#: Logits per standard deviation of the training part; high values go missing.
SLOPE = 3.0
MISSING_RATE = 0.3
N_COVERTYPE = 20_000
WILDERNESS = [f"wilderness_area_{k}" for k in range(1, 5)]
SOIL = [f"soil_type_{k}" for k in range(1, 41)]


@dataclass(frozen=True, eq=False)
class Task:
    """One repetition of one task: "covertype", "wine_red" or "wine_white".

    Features in original units with NaN in missing cells, and before values went missing, for the oracle alone; class 1
    to 7, or quality; and one-hot columns that are one variable, in groups.
    """

    name: str
    train: pd.DataFrame
    test: pd.DataFrame
    train_complete: pd.DataFrame
    test_complete: pd.DataFrame
    y_train: npt.NDArray[np.int64]
    y_test: npt.NDArray[np.int64]
    groups: list[list[str]]

    @property
    def types(self) -> dict[str, Kind]:
        """The kinds that the joint models are told."""
        return {f"group {k}": OneHot(group) for k, group in enumerate(self.groups)}

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return self.name == "covertype"


def make_task(name: str, seed: int, data_home: Path | None = None, covertype_path: Path | None = None) -> Task:
    """The rows, the 70/30 split and the missing cells of one repetition; of Covertype 20,000 random rows, stratified.

    ``covertype_path`` is a file in Covertype's format, such as a sample, in the place of the original.
    """
    dataset = load(name, data_home, covertype_path)
    X, y = dataset.data, dataset.target.to_numpy(np.int64)
    generator = np.random.default_rng(seed)
    if name == "covertype" and len(X) > N_COVERTYPE:
        rows = generator.choice(len(X), N_COVERTYPE, replace=False)
        X, y = X.iloc[rows].reset_index(drop=True), y[rows]
    train, test = train_test_split(
        np.arange(len(X)), test_size=0.3, random_state=seed, stratify=y if name == "covertype" else None
    )
    scale = X.iloc[train].std(ddof=0).replace(0.0, 1.0)
    standard = ((X - X.iloc[train].mean()) / scale).to_numpy()
    lost = generator.random(X.shape) < missing_probability(standard, train)
    holed = X.mask(lost)
    return Task(
        name,
        holed.iloc[train],
        holed.iloc[test],
        X.iloc[train],
        X.iloc[test],
        y[train],
        y[test],
        [WILDERNESS, SOIL] if name == "covertype" else [],
    )


def missing_probability(standard: FloatArray, train: npt.NDArray[np.intp]) -> FloatArray:
    """sigmoid(3 (x_ij - b)), the cut b such that 30 % of all cells of the training rows are expected to go missing."""
    known = standard[train]
    cut = brentq(lambda b: expit(SLOPE * (known - b)).mean() - MISSING_RATE, -20.0, 20.0)
    return np.asarray(expit(SLOPE * (standard - cut)))
