"""The page: it needs nothing else, names everything, and lets nothing of a table's run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from pyro_mnar import Assessment, assess
from pyro_mnar.datasets.household import make_household_survey
from tests.support.assessments import short_fits

EVIL = "<script>alert(1)</script>"
QUOTES = """a"b'c & </title><img src=x onerror=alert(2)>"""


class Reader(HTMLParser):
    """What a browser would make of the page: its elements, and the ids and attributes that they have."""

    void = frozenset({"meta", "input", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    survey, _ = make_household_survey(240)
    with short_fits():
        found = assess(survey, "income", title="survey.csv")
    path = found.to_html(tmp_path_factory.mktemp("page") / "report.html")
    assert path.stat().st_size < 5e6
    return path.read_text(encoding="utf-8")


def test_it_needs_no_other_file(page: str) -> None:
    reader = read(page)
    linked = [value for _, attributes in reader.tags for name, value in attributes.items() if name in ("src", "href")]
    assert linked and all(str(value).startswith("#") for value in linked)
    assert "url(" not in page and "@import" not in page and "http" not in page.replace("http-equiv", "")


def test_every_link_has_its_place_and_every_id_is_there_once(page: str) -> None:
    reader = read(page)
    ids = [attributes["id"] for _, attributes in reader.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = {str(attributes["href"])[1:] for tag, attributes in reader.tags if tag == "a"}
    assert targets <= set(ids) and {"summary", "answer", "evidence", "columns", "rows", "checks"} <= targets
    for _, attributes in reader.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


def test_every_picture_and_control_has_words(page: str) -> None:
    reader = read(page)
    pictures = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert len(pictures) >= 8
    assert all(picture["role"] == "img" and picture["aria-labelledby"] for picture in pictures)
    for description in re.findall(r"<desc[^>]*>(.*?)</desc>", page):
        assert len(description) > 20
    assert sum(tag == "main" for tag, _ in reader.tags) == 1 and ("html", {"lang": "en"}) in reader.tags


def test_it_says_what_one_wants_to_know(page: str) -> None:
    text = " ".join(" ".join(read(page).text).split())
    assert "income hides its own high values" in text and "The mean of income" in text
    assert "If income were missing at random, the mean of income would be" in text


def hostile() -> Assessment:
    survey, _ = make_household_survey(120)
    survey = survey.rename(columns={"income": EVIL, "region": QUOTES, "rent": "r" * 200})
    survey[QUOTES] = survey[QUOTES].replace({"West": EVIL, "East": "</script><script>alert(3)</script>"})
    with short_fits():
        return assess(survey, EVIL, title=f"{EVIL}.csv")


def test_nothing_of_the_table_runs(tmp_path: Path) -> None:
    page = hostile().to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    reader = read(page)
    scripts = [attributes for tag, attributes in reader.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "shifts"}, {}]
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert not any(tag == "img" for tag, _ in reader.tags)
    assert EVIL in "".join(reader.text) and QUOTES in "".join(reader.text)


def test_colours_can_be_told_from_the_paper() -> None:
    """Contrast of text by WCAG 2.1, level AA, by day and by night."""
    from importlib.resources import files

    css = (files("pyro_mnar.analysis.page") / "templates" / "page.css").read_text(encoding="utf-8")

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        dark, bright = sorted([luminance(one), luminance(other)])
        return (bright + 0.05) / (dark + 0.05)

    for block in (css.split("@media")[0], css.split(":root[data-theme=dark]{")[1].split("}")[0]):
        colour = {
            name: value if len(value) == 7 else "#" + "".join(2 * c for c in value[1:])
            for name, value in re.findall(r"--(\w+):(#[0-9a-f]{3}(?:[0-9a-f]{3})?)\b", block)
        }
        for words in ("ink", "soft", "link"):
            assert contrast(colour[words], colour["paper"]) >= 4.5 and contrast(colour[words], colour["card"]) >= 4.5
        for shape in ("imputed", "random", "wrong", "open", "model", "ring"):
            assert contrast(colour[shape], colour["paper"]) >= 3


def test_a_frame_that_is_shown_has_its_words() -> None:
    from pyro_mnar.analysis.page.page import cell

    assert [cell(True, ""), cell(float("nan"), ""), cell(0.00001, "p_adjusted"), cell(1234, "")] == [
        "yes",
        "",
        "under 0.001",
        "1,234",
    ]
    assert cell(0.25, "chance") == "25\u00a0%" and cell(pd.Timestamp("2024-01-02"), "") == "2024-01-02 00:00:00"
