"""A model that was read is asked once, so that one that cannot answer is refused where it is read."""

import numpy as np

from pyro_mnar.data.columns import most_likely, original, possible
from pyro_mnar.data.rows import Rows
from pyro_mnar.data.write import decode
from pyro_mnar.errors import FileFormatError, MNARError
from pyro_mnar.estimators.base import JointEstimator


def check_answers(estimator: JointEstimator) -> None:
    """Ask about a row without values and about one in the middle of the table, with two draws each.

    FileFormatError for answers that are not finite; whatever else the model goes wrong with, its file describes
    wrongly. An error of this package's is an answer: a fit may have gone so wrong that its weights are no numbers, and
    is kept.
    """
    columns, schema = estimator.columns_, estimator._schema
    middle = possible(original(np.zeros((1, len(columns.names))), columns), columns)
    table = np.vstack([np.full_like(middle, np.nan), most_likely(middle, estimator.layout_)])
    beside = None if columns.beside is None else np.full((len(table), len(columns.beside.names)), np.nan)
    posterior = estimator._posterior(Rows(table, beside=beside), 2)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            answers = [posterior.mean(), posterior.quantile(0.5), posterior.sample(1)[0]]
            if estimator.joint_.head is not None:
                answers.append(posterior.predictive().numpy())
    except MNARError:
        return
    if not all(np.isfinite(answer).all() for answer in answers):
        raise FileFormatError("the model answers with numbers that are not finite")
    cells = schema.contract(possible(answers[0], columns))
    for kind, values in zip((kind for kind in schema.columns if kind.modelled), cells.T, strict=True):
        decode(kind, values)
