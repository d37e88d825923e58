"""The report page: self-contained, escaped, and with everything in it."""

from __future__ import annotations

import base64
import re

import pytest

from minigrad import plot
from minigrad.runs import Link, Picture, Run, Table, Text
from minigrad.runs.report import Page, render
from minigrad.terminal import shown


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "loss.png"
    plot.curves({"train": ([1, 2], [0.5, 0.25])}).savefig(path)
    return Picture(path, "The loss & its course")


def test_the_page_holds_what_it_was_given(picture):
    table = Table(
        "Accuracy", ["run", "ours"], [(Link("base", "001-base/report.html"), 0.81), ("deep", None)], "A note."
    )
    page = render(
        Page("Title", "subtitle", ["Beware."], [picture, table, Text("Words", "a  b\nc")], {"learning rate": 1e-4})
    )
    for part in ("Title", "subtitle", "Beware.", "The loss &amp; its course", "0.8100", "A note.", "a  b\nc", "0.0001"):
        assert part in page
    assert '<td class="unbroken"><a href="001-base/report.html">base</a></td>' in page
    assert '<td class="number">—</td>' in page
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == picture.png.read_bytes()


def test_pictures_are_numbered_and_say_what_they_show(picture):
    page = render(Page("Title", blocks=[picture, Text("Between", "words"), Picture(picture.content, "Another")]))
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == [
        "<b>Figure 1.</b> The loss &amp; its course",
        "<b>Figure 2.</b> Another",
    ]
    assert page.count(f'src="{picture.data}"') == 2  # from a file, and from memory


def test_columns_of_numbers_stand_right_also_where_some_are_missing():
    rows = [(None, "a", 0.5, None), (3, None, "none", None), (7, "a b " * 20, 1.5, None)]
    page = render(Page("Title", blocks=[Table("T", ["n", "words", "mixed", "empty"], rows)]))
    assert re.findall(r"<th( class=.*?)?>(\w+)</th>", page) == [
        (' class="number"', "n"),
        ("", "words"),
        ("", "mixed"),
        ("", "empty"),
    ]
    assert page.count('<td class="number">') == 3
    assert '<td class="unbroken">0.5000</td>' in page
    assert '<td class="words">a b ' in page  # long text gets a column that is not too narrow
    assert "<td>—</td>" in page


def test_a_page_without_settings_has_no_empty_section():
    assert "Settings" not in render(Page("Title"))
    assert "<h2>In common</h2>" in render(Page("Title", settings={"a": 1}, settings_title="In common"))


def test_results_stand_on_top_without_lists_and_below_the_reference(tmp_path):
    with Run(tmp_path, "base", {}) as run:
        run.table("Some table", ["a"], [(1,)])
        run.results.update(test_accuracy=0.5, layers={"conv": 1}, verdicts=["one"], stopped="early")
        run.compare({"accuracy": (0.81, 0.5)})
    page = (run.folder / "report.html").read_text()
    places = [page.index(title) for title in ("Beside the reference", "<h2>Results</h2>", "Some table")]
    assert places == sorted(places)
    assert "<td>test accuracy</td>" in page
    assert "<td>stopped</td>" in page
    assert "layers" not in page
    assert "verdicts" not in page
    with Run(tmp_path, "base", {}) as run:
        pass
    assert "<h2>Results</h2>" not in (run.folder / "report.html").read_text()


def test_the_page_needs_nothing_from_outside_and_follows_the_readers_theme(picture):
    page = render(Page("Title", blocks=[picture]))
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', page))
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_text_cannot_become_markup():
    evil = '<script>"&'
    blocks = [Text(evil, evil), Table(evil, [evil], [(evil,), (Link(evil, '"><script>'),)], evil)]
    page = render(Page(evil, evil, [evil], blocks, {evil: evil}))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.81, "0.8100"),
        (0.0022573825, "0.002257"),
        (1.25e-6, "1.25e-06"),
        (0.0, "0"),
        (93.26, "93.2600"),
        (493.26, "493.26"),
        (2.5e7, "2.5e+07"),
        (-0.004, "-0.004"),
        (7, "7"),
        (True, "yes"),
        (None, "—"),
        ((10, 10), "10, 10"),
        ("text", "text"),
    ],
)
def test_values_as_a_reader_wants_them(value, text):
    assert shown(value) == text


def test_pictures_are_shown_smaller_than_their_pixels(picture):
    from PIL import Image

    with Image.open(picture.png) as image:
        assert picture.width == round(image.width / 1.3)
