"""The pages in a browser as wide as a phone: nothing sticks out, and a dark theme is followed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from some_runs import make_run

from minigrad import plot
from minigrad.runs import Link, Run, comparison_page, find_runs

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "/usr/bin/chromium", "google-chrome"))), None)
WIDTH = 390  # CSS pixels
LIGHT, DARK = 1, 0  # Chromium's numbers
# The window of a browser has a least width, a frame has none. What is found there is written into the document around
# it, which Chromium then prints.
AROUND = """<!doctype html>
<meta name="color-scheme" content="light dark">
<iframe width="{width}" height="844" frameborder="0" srcdoc="{page}"></iframe>
<pre id="measured"></pre>
<script>
onload = () => {{
  const inside = document.querySelector("iframe").contentWindow, page = inside.document;
  const all = (what) => [...page.querySelectorAll(what)], style = (part) => inside.getComputedStyle(part);
  const parts = all("main *").filter((part) => !part.parentElement.closest(".wide"));
  document.getElementById("measured").textContent = JSON.stringify({{
    window: inside.innerWidth,
    page: page.documentElement.scrollWidth,
    right: Math.max(...parts.map((part) => part.getBoundingClientRect().right)),
    scrolling: all(".wide").filter((part) => part.scrollWidth > part.clientWidth).length,
    background: style(page.body).backgroundColor,
    text: style(page.body).color,
    chart: style(page.querySelector("img.chart")).filter,
    pictures: all("img").every((image) => image.complete && image.naturalWidth > 0),
  }});
}};
</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


def measured(page: Path, theme: int) -> dict:
    """How the page comes out."""
    around = page.with_name(f"around-{theme}.html")
    text = html.escape(page.read_text(encoding="utf-8"), quote=True)
    around.write_text(AROUND.format(width=WIDTH, page=text), encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
        f"--user-data-dir={page.parent / f'browser-{theme}'}",
        f"--blink-settings=preferredColorScheme={theme}",
        *("--virtual-time-budget=5000", "--dump-dom", around.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


@pytest.fixture
def report(tmp_path):
    """A report with all that could be too wide."""
    endless = "aNameWithoutAnyPlaceToBreakIt" * 4
    with Run(tmp_path, "base", {"data": f"/{endless}", "lr": 1e-4}, f"A title with {endless}") as run:
        run.notice(f"A notice with {endless}", say=False)
        run.results.update(test_accuracy=0.5, why=endless)
        run.compare({"accuracy": (0.81, 0.5), endless: (1.0, 2.0)}, note=endless)
        run.table(
            endless, [f"column {i}" for i in range(12)], [[Link(endless, "x.html"), *np.random.rand(11).tolist()]]
        )
        run.table("Words", ["run", "what"], [("a", "many words " * 20), ("b", endless)])
        run.text("Fixed", "x" * 300)
        run.text("A paragraph", endless, fixed=False)
        lines = {f"line {i}": ([1, 2], [i, i + 1]) for i in range(8)}
        run.picture(plot.curves(lines), "curves", endless)
        run.picture(plot.weight_images(np.random.rand(10, 3072), (3, 32, 32)), "weights", "Weights", kind="image")
    return run.folder / "report.html"


def test_a_report_fits_a_phone_and_follows_the_theme(report):
    light, dark = [measured(report, theme) for theme in (LIGHT, DARK)]
    for found in (light, dark):
        assert found["window"] == WIDTH
        assert found["page"] <= WIDTH
        assert found["right"] <= WIDTH
        assert found["scrolling"] >= 2  # the wide table and the fixed text, within their cards
        assert found["pictures"]
    assert brightness(light["background"]) > 200 > 100 > brightness(light["text"])
    assert brightness(dark["background"]) < 60 < 180 < brightness(dark["text"])
    assert light["chart"] == "none"
    assert dark["chart"].startswith("invert")


def test_a_comparison_fits_a_phone(tmp_path):
    for lr in (0.1, 0.01):
        for seed in (1, 2):
            settings = {"learning_rate": lr, "seed": seed, "hidden": [lr] * 20, "optimizer": "x" * 60}
            results = {f"a_figure_with_a_long_name_{i}": i for i in range(9)}
            make_run(tmp_path, "base", settings, {"loss": [1.0, lr]}, results)
    make_run(tmp_path, "failed", {"learning_rate": 1.0}, end=RuntimeError("w" * 300))
    comparison_page(find_runs(tmp_path), tmp_path / "comparison.html", "All runs")
    found = measured(tmp_path / "comparison.html", LIGHT)
    assert found["page"] <= WIDTH
    assert found["right"] <= WIDTH


def brightness(colour: str) -> float:
    """The mean of red, green and blue in "rgb(1, 2, 3)"."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
