"""Sphinx's settings for the site; `build.py` in this folder lays out what they read."""

import html
import re
from typing import Any

from docutils import nodes

from pyro_mnar import __version__

project = "pyro_mnar"
author = "The pyro_mnar maintainers"
version = release = __version__
copyright = "2026, the pyro_mnar maintainers"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "sphinx_copybutton"]
root_doc = "index"
exclude_patterns = ["docs/site"]
nitpicky = False

# Markdown: headings can be linked to, and a link that leads nowhere is an error (the build is strict).
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

# Notebooks are shown as they are committed. Nothing is fetched for widgets.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "inherited-members": "BaseEstimator,Module,tuple,BaseException"}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False
python_maximum_signature_line_length = 80

html_math_renderer = "text"
html_theme = "pydata_sphinx_theme"
html_title = "pyro_mnar"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_sourcelink_suffix = ""
# Pages without others below them need no list of these.
alone = "index which-mechanism how-it-works verified benchmarks promises gallery other-packages results glossary"
alone += " citation notebooks"
html_sidebars = {
    page: [] for page in ["index", "CHANGELOG", "CONTRIBUTING", *(f"docs/{name}" for name in alone.split())]
}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navigation_depth": 2,
    "show_nav_level": 1,
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def left_out(app: Any, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    """Whether a member is another library's: what scikit-learn gives every estimator is in its own documentation."""
    of = getattr(value, "fget", None) or value
    theirs = callable(of) and not str(getattr(of, "__module__", "pyro_mnar")).startswith("pyro_mnar")
    return True if theirs or name.endswith("_request") else None


GREEK = {"Phi": "Φ", "Sigma": "Σ", "sigma": "σ", "phi": "φ", "sum": "Σ", "int": "∫", "le": "≤", "ge": "≥", "ne": "≠"}  # noqa: RUF001
GREEK |= {"mid": "|", "cdot": "·", "pm": "±", "sim": "~", "approx": "≈", "in": "∈", "iff": "⇔"}
#: TeX of docstrings in plain signs, in this order.
SIGNS = [
    (r"\\(?:Big|big|left|right|,|;|!|quad)", ""),
    (r"\\(?:mathrm|text|hat|tilde|bar)\{([^{}]*)\}", r"\1"),
    (r"\\[td]?frac\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}", r"(\1) / (\2)"),
    (r"\\sqrt\{([^{}]*)\}", r"√(\1)"),
    (r"([_^])\{([^{}]*)\}", r"\1\2"),
    *((rf"\\{name}(?![a-zA-Z])", sign) for name, sign in GREEK.items()),
    (r"\\([a-z]+)", r"\1"),
]


def math_as_text(translator: Any, node: Any) -> None:
    """Formulas as plain text: MathJax would be fetched from another host."""
    text = " ".join(node.astext().split())
    for tex, sign in SIGNS:
        text = re.sub(tex, sign, text)
    translator.body.append(f"<code>{html.escape(text)}</code>")
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", left_out)
    app.add_html_math_renderer("text", inline_renderers=(math_as_text, None), block_renderers=(math_as_text, None))
