"""The page in a real browser: it says nothing on the console, fits narrow windows, and its controls do what they say.

Chromium runs a copy of the page with a script of the test's own at its end, which uses the controls and leaves what it
saw in the document; no driver is needed.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pyro_mnar import assess
from pyro_mnar.datasets.household import make_household_survey
from tests.support.assessments import SMALL, short_fits

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser (on Debian: apt-get install chromium)")

PROBE = """
<script>
var seen = {width: document.documentElement.scrollWidth, room: window.innerWidth};
var slider = document.getElementById("shift"), words = document.getElementById("shift-words");
seen.before = words.textContent;
slider.value = slider.max; slider.dispatchEvent(new Event("input"));
seen.after = words.textContent; seen.cursor = document.querySelector(".cursor circle").getAttribute("cx");
var buttons = document.querySelectorAll("#slopes button"), last = buttons[buttons.length - 1];
last.click();
seen.pressed = document.querySelectorAll("#slopes button[aria-pressed=true]").length;
seen.told = document.querySelector("#slopes output").textContent === last.dataset.words;
document.getElementById("theme").click(); seen.theme = document.documentElement.dataset.theme;
seen.ran = typeof window.stolen;
// The place of each word of a picture, against that of its picture.
seen.cut = [];
document.querySelectorAll("svg text").forEach(function (word) {
  var own = word.getBoundingClientRect(), whole = word.ownerSVGElement.getBoundingClientRect();
  if (own.width && (own.left < whole.left - 1 || own.right > whole.right + 1 || own.top < whole.top - 1
      || own.bottom > whole.bottom + 1)) { seen.cut.push(word.textContent); }
});
var note = document.createElement("pre"); note.id = "probe"; note.textContent = JSON.stringify(seen);
document.body.appendChild(note);
</script></body>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    survey, _ = make_household_survey(100)
    evil = "<script>window.stolen=1;alert(1)</script>"
    survey = survey.rename(columns={"region": evil, "rent": "a_very_long_name_" * 8})
    with short_fits(SMALL._replace(slopes=(0.0, 2.0))):
        path = assess(survey, "income", title=evil).to_html(tmp_path_factory.mktemp("page") / "report.html")
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", PROBE), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_it_is_silent_fits_and_answers(page: Path, width: int, tmp_path: Path) -> None:
    assert BROWSER is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    options += [f"--user-data-dir={tmp_path}", f"--window-size={width},900", "--dump-dom", page.as_uri()]
    run = subprocess.run([BROWSER, *options], capture_output=True, text=True, timeout=120, check=False)
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    found = re.search(r'<pre id="probe">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found is not None, run.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert seen["width"] <= seen["room"]
    assert "as imputed" in seen["before"] and "higher than imputed" in seen["after"] and float(seen["cursor"]) > 400
    assert seen["pressed"] == 1 and seen["told"] and seen["theme"] in ("dark", "light")
    assert seen["ran"] == "undefined"
    assert seen["cut"] == []
