"""Build the site, `python docs/site/build.py [folder]`: strictly, so that a link that leads nowhere is an error.

Pages link to notebooks, results and the changelog beside docs/. Sphinx wants all it reads in one folder, so the files
are laid out in a temporary one as they lie in the repository, with `index.md` on top.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import main as sphinx

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ("notebooks", "results", "CHANGELOG.md", "CONTRIBUTING.md")
#: Pages of links, which are the navigation below them, in the same order.
LISTS = ("docs/how-to/index.md", "docs/reference/index.md", "docs/notebooks.md", "docs/results.md")
#: The records themselves, a line per run, are for programs.
LEFT_OUT = shutil.ignore_patterns("*.jsonl", ".ipynb_checkpoints", "__pycache__")


def lay_out(folder: Path) -> None:
    """Put what the site is made of into an empty folder."""
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=LEFT_OUT)
    for name in OUTSIDE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, folder / name)
    for page in (folder / "results").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        if not text.startswith("# "):
            page.write_text(f"# Every method: {page.parent.name}\n\n{text}", encoding="utf-8")
    # Code is no page: it is named, without a link.
    page = folder / "CONTRIBUTING.md"
    page.write_text(
        re.sub(r"\[(`[^`]*`)\]\(pyro_mnar/[^)]*\)", r"\1", page.read_text(encoding="utf-8")), encoding="utf-8"
    )
    for name in LISTS:
        page = folder / name
        text = page.read_text(encoding="utf-8")
        pages = dict.fromkeys(re.findall(r"\]\(([^)#:]+\.(?:md|ipynb))\)", text))
        inside = [link for link in pages if not link.endswith("CONTRIBUTING.md")]
        page.write_text("\n".join([text, "```{toctree}", ":hidden:", *inside, "```", ""]), encoding="utf-8")
    (folder / "docs" / "site" / "index.md").rename(folder / "index.md")


def build(out: Path) -> int:
    """Build into ``out``; 0 if there was nothing to say."""
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "source"
        source.mkdir()
        lay_out(source)
        settings = ["-c", str(source / "docs" / "site"), "-d", str(Path(temporary) / "read")]
        # The package of this checkout is what is described.
        sys.path.insert(0, str(ROOT))
        return sphinx(["-W", "--keep-going", "-q", "-b", "html", *settings, str(source), str(out)])


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
