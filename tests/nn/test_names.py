"""Layers that are not in minigrad are named."""

from __future__ import annotations

import pytest

from minigrad import nn


def test_layers_that_are_not_there_are_named():
    with pytest.raises(AttributeError, match="NoSuchLayer"):
        nn.NoSuchLayer  # noqa: B018
