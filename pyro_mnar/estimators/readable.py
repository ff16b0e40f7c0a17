"""A report that can be read where it is printed."""

import html

import pandas as pd

#: Sentences that are printed; the column holds them all.
_MOST = 60


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


class MechanismReport(pd.DataFrame):
    """A DataFrame with a column ``words``, which is shown as whole sentences above the numbers.

    pandas cuts long text and wide tables to the terminal. What is computed from it (a choice of its rows, say) is a
    plain DataFrame.

    Examples
    --------
    >>> MechanismReport({"feature": ["age"], "missing_rate": [0.25], "words": ["age: missing whatever its value"]})
    age: missing whatever its value
    <BLANKLINE>
    feature  missing_rate
        age          0.25
    """

    def __repr__(self) -> str:
        if "words" not in self:
            return super().__repr__()
        numbers = self.drop(columns="words").to_string(index=False, max_rows=_MOST, float_format=_number)
        return "\n".join([*self._sentences(), "", numbers])

    def _repr_html_(self) -> str:
        if "words" not in self:
            return pd.DataFrame(self).to_html(max_rows=_MOST)
        lines = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self._sentences())
        numbers = self.drop(columns="words").to_html(index=False, max_rows=_MOST, float_format=_number)
        return f"<ul>{lines}</ul>{numbers}"

    def _sentences(self) -> list[str]:
        words = [str(sentence) for sentence in self["words"]]
        more = [f"... and {len(words) - _MOST} more, in the column 'words'"] if len(words) > _MOST else []
        return [*words[:_MOST], *more]
