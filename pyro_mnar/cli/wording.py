"""Messages of the library in the words of the command line: options instead of parameters and methods."""

import re

_COLUMN = r"(?P<quote>['\"])(?P<column>.*?)(?P=quote)"
#: What the library says, and what there is at the command line instead.
_INSTEAD = [
    (r"convert it with pandas\.to_numeric \(errors='coerce' makes the rest missing cells\)", "correct it"),
    (rf"mechanism=\{{{_COLUMN}: Censored\(\)\}}", r"--censored \g<quote>\g<column>\g<quote>"),
    (rf"types=\{{{_COLUMN}: '(?P<kind>\w+)'\}}", r"--types \g<quote>\g<column>=\g<kind>\g<quote>"),
    (r"give the column's bounds in types", "give the column's bounds, as --types 'COLUMN=bounded(0, 100)'"),
    (r"mechanism='(?P<name>[\w-]+)' or '(?P<other>[\w-]+)'", r"--mechanism \g<name> or \g<other>"),
    (r"mechanism='(?P<name>[\w-]+)'", r"--mechanism \g<name>"),
    (
        r"give them proposals of their own with posterior\.refine\(\), as estimator\.posterior\(X\) does",
        "give more --n-draws",
    ),
    (r"raise n_draws_posterior", "give more --n-draws"),
    (r"\(n_draws_posterior\)", "(--n-draws)"),
    (r"fit again, or set keep_empty_features=True", "fit again"),
    (r"overwrite=True to replace", "--force to replace"),
    (r"if it means missing, say so", "if it means missing, give --na-values"),
    (r"in 'types'", "with --types"),
    (r"'types'", "--types"),
]


def as_options(message: str) -> str:
    """A message of the library, as somebody at the command line can follow it.

    Examples
    --------
    >>> as_options("compare mechanism='auto' or 'ignorable'")
    'compare --mechanism auto or ignorable'
    >>> as_options("say that it is text: types={'zip code': 'nominal'}")
    "say that it is text: --types 'zip code=nominal'"
    >>> as_options("give mechanism={'lead': Censored()}")
    "give --censored 'lead'"
    """
    for pattern, words in _INSTEAD:
        message = re.sub(pattern, words, message)
    return message
