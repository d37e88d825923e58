"""Where the labs look for data, and what the package offers."""

from pathlib import Path

import pytest

import minigrad.datasets
from minigrad.datasets import data_root


def test_the_argument_comes_before_the_environment_before_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    assert data_root() == tmp_path / "home/.cache/minigrad"
    monkeypatch.setenv("MINIGRAD_DATA", "~/sets")
    assert data_root() == tmp_path / "home/sets"
    assert data_root("~/mine") == tmp_path / "home/mine"
    assert data_root(tmp_path) == tmp_path
    assert data_root("relative") == Path("relative")
    monkeypatch.setenv("MINIGRAD_DATA", "")
    assert data_root() == tmp_path / "home/.cache/minigrad"


def test_unknown_names_are_told():
    with pytest.raises(AttributeError, match="no 'ImageNet'; it offers CIFAR10"):
        getattr(minigrad.datasets, "ImageNet")  # noqa: B009
