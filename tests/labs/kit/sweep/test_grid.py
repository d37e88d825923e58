"""A grid of settings: its values, its cells, and their folders' names."""

from __future__ import annotations

import re

import pytest
from kit.sweep.grid import choices, folder_name, values_in


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1,1e-3,2", [0.1, 0.001, 2]),
        ("step,cyclical", ["step", "cyclical"]),
        ("step,3,true,null", ["step", 3, True, None]),
        ("[10],[32,32]", [[10], [32, 32]]),
        ('"1","a,b"', ["1", "a,b"]),
    ],
)
def test_values_are_json_where_they_can_be(text, values):
    assert values_in(text) == values


def test_every_value_meets_every_other():
    cells = choices([("lr", "0.1,0.01"), ("batch_size", "32,64")], [("epochs", "3")])
    assert cells == [
        {"batch_size": b, "epochs": 3, "lr": lr} for lr, b in ((0.1, 32), (0.1, 64), (0.01, 32), (0.01, 64))
    ]
    assert choices([], []) == [{}]


def test_folders_have_names_of_their_own():
    assert folder_name({"batch_size": 32, "lr": 1e-3}) == "batch_size=32,lr=0.001"
    assert folder_name({}) == "defaults"
    odd = [{"a": "x/y"}, {"a": "x?y"}, {"a": "x y"}, {"a": "z" * 300}, {"a": "z" * 301}, {"a": [1, 2]}]
    names = [folder_name(settings) for settings in odd]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"a=[\w,]+~\w{8}", name) and len(name) < 120 for name in names)
