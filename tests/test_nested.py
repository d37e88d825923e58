"""Values in containers."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import numpy as np

import minigrad
from minigrad.nested import mapped, on_host


def test_on_host_looks_into_containers():
    t = minigrad.tensor([1.0], requires_grad=True)
    found = on_host({"a": [t, 1], "b": (t, "x")})
    assert isinstance(found["a"][0], np.ndarray)
    assert isinstance(found["b"], tuple)
    assert found["a"][1] == 1
    assert found["b"][1] == "x"


def test_functions_reach_every_value_and_containers_keep_their_types():
    pair = namedtuple("pair", "a b")
    given = {"x": [1, (2, "text")], "y": OrderedDict(z=pair(3, None)), "r": range(2)}
    found = mapped(given, lambda value: value + 1 if isinstance(value, int) else value)
    assert found == {"x": [2, (3, "text")], "y": OrderedDict(z=pair(4, None)), "r": range(2)}
    assert type(found["y"]) is OrderedDict
    assert type(found["y"]["z"]) is pair
    assert given["x"] == [1, (2, "text")]
