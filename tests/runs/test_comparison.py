"""Runs side by side: the page, and the command that writes it."""

from __future__ import annotations

import html
import re
import shutil

import pytest
from some_runs import grid, make_run

from minigrad.runs import comparison_page, find_runs


def page_of(folder, *args, **kwargs):
    comparison_page(find_runs(folder), folder / "comparison.html", "All runs", *args, **kwargs)
    return (folder / "comparison.html").read_text()


def table(page, title):
    """The rows of a table of the page, heads first, as text; None if there is none."""
    found = re.search(rf"<h2>{re.escape(title)}</h2>(.*?)</section>", page, re.DOTALL)
    if found is None:
        return None
    rows = re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<.*?>", "", cell)).replace("\N{NO-BREAK SPACE}", " ") for cell in r] for r in cells]


def captions(page):
    return [re.sub(r"<.*?>", "", text) for text in re.findall(r"<figcaption>(.*?)</figcaption>", page)]


def test_the_table_has_what_differs_the_best_first(tmp_path):
    grid(tmp_path)
    page = page_of(tmp_path)
    heads, *rows = table(page, "Runs")
    assert heads == ["run", "lr", "batch size", "test accuracy", "count", "seconds"]
    assert [row[:5] for row in rows] == [
        ["base 1", "0.01", "64", "0.9640", "5"],
        ["base 2", "0.01", "32", "0.9320", "5"],
        ["base 3", "0.1", "64", "0.8740", "5"],
        ["base 4", "0.1", "32", "0.8420", "5"],
    ]
    assert "4 runs: 4 finished. In the order of test accuracy, the largest first." in page
    assert table(page, "Settings that all runs share") == [["seed", "1"], ["device", "cpu"]]
    assert not re.search(r"https?://|<script|<link", page)


def test_links_lead_to_the_reports_wherever_the_folders_are(tmp_path):
    make_run(tmp_path / "lr=0.1,a b#50%" / "x", "one", {"lr": 1})
    make_run(tmp_path, "two", {"lr": 2})
    page = page_of(tmp_path)
    links = re.findall(r'<a href="(.*?)">(.*?)</a>', page)
    assert links == [("001-two/report.html", "two"), ("lr%3D0.1%2Ca%20b%2350%25/x/001-one/report.html", "one")]
    (tmp_path / "elsewhere").mkdir()
    comparison_page(find_runs(tmp_path), tmp_path / "elsewhere" / "page.html", "T")
    assert 'href="../001-two/report.html"' in (tmp_path / "elsewhere" / "page.html").read_text()


def test_two_settings_make_a_table_of_the_one_by_the_other(tmp_path):
    grid(tmp_path, seeds=(1, 3))
    cut = {"seed": 5, "lr": 0.1, "batch_size": 64, "device": "cpu"}
    make_run(tmp_path, "base", cut, results={"test_accuracy": 0.1}, end="interrupted")
    page = page_of(tmp_path)
    assert table(page, "Test accuracy by lr and batch size") == [
        ["", "batch size 32", "batch size 64"],
        ["lr 0.01", "0.9420", "0.9740"],  # the mean over seeds
        ["lr 0.1", "0.8520", "0.8840"],
    ]


def test_seeds_are_summed_up_and_equal_seeds_count_once(tmp_path):
    grid(tmp_path, seeds=(1, 3), values=((0.1, 0.01), (32,)))
    grid(tmp_path, seeds=(3,), values=((0.1,), (32,)))  # the same once more
    page = page_of(tmp_path)
    assert table(page, "Mean ± standard deviation over seeds") == [
        ["lr", "test accuracy", "count", "seeds"],
        ["0.01", "0.9420 ± 0.014", "5", "2"],
        ["0.1", "0.8520 ± 0.014", "5", "2"],
    ]
    assert table(page, "Test accuracy by lr and batch size") is None
    shutil.rmtree(tmp_path / "002-base")
    shutil.rmtree(tmp_path / "003-base")
    shutil.rmtree(tmp_path / "005-base")
    assert table(page_of(tmp_path), "Mean ± standard deviation over seeds") is None


def test_runs_that_did_not_finish_are_named_with_the_reason(tmp_path):
    curves = {"val_loss": [1.0, 0.5]}
    make_run(tmp_path, "good", {"lr": 0.1, "device": "cpu"}, curves, {"test_loss": 0.5}, notices=["A stand-in."])
    make_run(tmp_path, "bad", {"lr": 0.2}, end=RuntimeError("Linear: 3 <> 4"), notices=["A stand-in."])
    make_run(tmp_path, "cut", {"lr": 0.3}, curves, {"test_loss": 0.4}, end="interrupted")
    killed = make_run(tmp_path, "gone", {"lr": 0.4}, end="killed")
    page = page_of(tmp_path)
    assert [row[0] for row in table(page, "Runs")] == ["run", "cut", "good", "bad", "gone"]
    assert [row[-1] for row in table(page, "Runs")[1:]] == ["interrupted", "finished", "failed", "running"]
    assert table(page, "Runs that did not finish")[1:] == [
        ["cut", "interrupted", "Stopped by Ctrl-C in epoch 2; all below is of what was trained until then."],
        ["bad", "failed", "The run ended early: RuntimeError: Linear: 3 <> 4"],
        ["gone", "running", "There is no summary: it is still running, or was killed."],
    ]
    assert f"{killed.name}/report.html" not in page  # it has none
    assert re.findall(r'<p class="notice">(.*?)</p>', page) == ["A stand-in."]
    assert "4 runs: 1 finished, 1 interrupted, 1 failed, 1 running." in page
    assert table(page, "Settings that all runs share") == [["device", "cpu"]]  # what broke off early does not count


def test_curves_that_runs_have_in_common_lie_over_one_another(tmp_path):
    make_run(tmp_path, "a", curves={"own": [1], "val_loss": [2.0], "accuracy": [0.5], "loss": [3.0]})
    make_run(tmp_path, "b", curves={"loss": [1.0], "accuracy": [0.25], "val_loss": [2.5]})
    make_run(tmp_path, "c")
    page = page_of(tmp_path)
    assert [caption.split(" at the end")[0] for caption in captions(page)] == [
        "Figure 1. Loss;",
        "Figure 2. Val loss;",
        "Figure 3. Accuracy;",
    ]  # and not "own"
    assert captions(page)[0].endswith(" at the end 3.0000 (a), 1.0000 (b).")  # by val_loss
    assert page.count("data:image/png") == 3


def test_many_curves_are_drawn_the_best_in_colour(tmp_path):
    for i in range(11):
        make_run(tmp_path, f"run{i}", {"lr": i}, {"loss": [100.0, i + 1.0]}, {"test_loss": i})
    (caption,) = captions(page_of(tmp_path))
    assert caption == "Figure 1. Loss; at the end from 1.0000 (run0) to 11.0000 (run10). In grey the other 3 runs."


def test_steps_and_epochs_share_no_axis(tmp_path):
    from minigrad.runs import Run

    make_run(tmp_path, "a", curves={"loss": [1.0, 0.5]})
    with Run(tmp_path, "b", {}, unit="step") as run:
        for step in (100, 200):
            run.log(step, loss=1 / step)
    assert len(captions(page_of(tmp_path))) == 1


def test_the_key_figure_may_be_chosen(tmp_path):
    grid(tmp_path, values=((0.1, 0.01), (32,)))
    page = page_of(tmp_path, "loss")
    assert table(page, "Runs")[0] == ["run", "lr", "loss", "test accuracy", "count", "seconds"]
    assert [row[2] for row in table(page, "Runs")[1:]] == ["0.0100", "0.1000"]
    assert "In the order of loss, the smallest first." in page
    assert [row[1] for row in table(page_of(tmp_path, "loss", mode="max"), "Runs")[1:]] == ["0.1", "0.01"]
    with pytest.raises(ValueError, match="comparison_page: no run has the metric 'los'; did you mean loss"):
        page_of(tmp_path, "los")
    with pytest.raises(ValueError, match="there are no runs"):
        comparison_page([], tmp_path / "x.html", "T")
    assert not (tmp_path / "x.html").exists()


def test_runs_without_any_figure_are_listed_all_the_same(tmp_path):
    make_run(tmp_path, "a", {"lr": 1})
    assert table(page_of(tmp_path), "Runs")[1][0] == "a"
