"""The names that ``minigrad`` shows: what ``__all__`` lists, and what is there."""

from __future__ import annotations

from types import ModuleType

import pytest

import minigrad


def test_all_lists_every_public_name_once_in_order() -> None:
    there = {
        name
        for name, value in vars(minigrad).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    late = {"load", "save", "TYPE_CHECKING", "Any"}  # the first two are made when asked for; the others are typing's
    listed = [name for name in minigrad.__all__ if not isinstance(getattr(minigrad, name), ModuleType)]
    assert there - late == set(listed) - late - {"__version__"}
    assert len(set(minigrad.__all__)) == len(minigrad.__all__)


def test_every_listed_name_is_there() -> None:
    assert [name for name in minigrad.__all__ if not hasattr(minigrad, name)] == []


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match="minigrad has no 'fft'"):
        minigrad.fft  # noqa: B018
