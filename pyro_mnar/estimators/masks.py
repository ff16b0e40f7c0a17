"""What is checked of masks that have to do with each other: those that depend on others, and those of blocks."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import numpy as np
from torch import Tensor

from pyro_mnar.data.columns import FloatArray, Layout
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanism import Mechanism


def check_order(
    parents: Mapping[int, Sequence[int]], names: Sequence[str], blocks: Sequence[Sequence[int]] = ()
) -> None:
    """See that no mask depends on itself by way of others; InvalidInputError names the circle.

    Where a parent's cell is missing the mask depends on that; in a circle the masks would have no joint distribution.
    ``parents`` and ``blocks`` hold positions of columns; a block goes missing as the first of its columns says.
    """
    first = {j: block[0] for block in blocks for j in block}
    edges = {j: [first.get(k, k) for k in ks] for j, ks in parents.items() if first.get(j, j) == j}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        circle = " on ".join(repr(names[j]) for j in reversed(error.args[1]))
        raise InvalidInputError(
            f"'depends_on' goes round in a circle, {circle}: masks that depend on each other have no joint "
            "distribution; leave one out, or give a mapping from column to what its mask depends on"
        ) from error


def check_blocks(table: FloatArray, blocks: Sequence[Sequence[int]], names: Sequence[str]) -> None:
    """See that the cells of a block are all observed or all missing in each row of the model's table, shape (n, p).

    InvalidInputError names the row and the columns; ``blocks`` are positions of columns that go missing together.
    """
    for block in blocks:
        missing = np.isnan(table[:, list(block)])
        partly = missing.any(1) & ~missing.all(1)
        if partly.any():
            row = int(np.argmax(partly))
            gone = names[block[int(np.argmax(missing[row]))]]
            here = names[block[int(np.argmin(missing[row]))]]
            raise InvalidInputError(
                f"the columns {[names[j] for j in block]} are declared as a block, which goes missing together, but "
                f"row {row} lacks {gone!r} and has {here!r}; leave such columns out of the block"
            )


def with_blocks(groups: Sequence[Sequence[int]], blocks: Sequence[Sequence[int]]) -> list[list[int]]:
    """Columns that are missing together: blocks, and the levels of nominal columns outside of them.

    Examples
    --------
    >>> with_blocks([(2, 3), (4, 5)], [[0, 2, 3]])
    [[0, 2, 3], [4, 5]]
    """
    inside = {j for block in blocks for j in block}
    return [*(list(block) for block in blocks), *(list(group) for group in groups if group[0] not in inside)]


def student_columns(mechanism: Mechanism, active: Tensor, layout: Layout, names: Sequence[str]) -> dict[int, float]:
    """Positions and degrees of freedom (NaN: learned) of columns that go missing by a mechanism with t errors.

    InvalidInputError names one that is not continuous.
    """
    of_mechanism = mechanism.freedom()
    if of_mechanism is None:
        return {}
    own = (active & ~of_mechanism.isposinf()).nonzero()[:, 0]
    found = dict(zip(own.tolist(), of_mechanism[own].tolist(), strict=True))
    for j in found:
        if j not in layout.continuous:
            raise InvalidInputError(
                f"errors='student-t' is for continuous columns, which {names[j]!r} is not (see schema_); give it to "
                "the others by name, as in {'income': SelfMasking(errors='student-t'), 'default': 'auto'}"
            )
    return found
