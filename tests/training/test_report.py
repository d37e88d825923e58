"""The report page: self-contained, escaped, and with everything in it."""

from __future__ import annotations

import base64
import re

import pytest

from minigrad import plot
from minigrad.training import Link, Picture, Table, Text
from minigrad.training.report import Page, render, shown


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
    assert '<a href="001-base/report.html">base</a>' in page
    assert '<td class="number">—</td>' in page
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(data) == picture.path.read_bytes()


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
        (493.26, "493.2600"),
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

    with Image.open(picture.path) as image:
        assert picture.width == round(image.width / 1.3)
