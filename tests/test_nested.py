"""Values in containers."""

from __future__ import annotations

import numpy as np

import minigrad
from minigrad.nested import on_host


def test_on_host_looks_into_containers():
    t = minigrad.tensor([1.0], requires_grad=True)
    found = on_host({"a": [t, 1], "b": (t, "x")})
    assert isinstance(found["a"][0], np.ndarray)
    assert isinstance(found["b"], tuple)
    assert found["a"][1] == 1
    assert found["b"][1] == "x"
