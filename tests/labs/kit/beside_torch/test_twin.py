"""A file of networks and its twin in PyTorch."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import lab8.network
import pytest
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe
from lab8 import data
from op_suite import torch

import minigrad

LABS = Path(compare_torch.__file__).parents[2]
READ = sorted([*LABS.glob("lab*/network.py"), *LABS.glob("lab*/__init__.py")])  # what a twin is made from


@pytest.mark.parametrize("path", READ, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_of_networks_imports_what_its_twin_can(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        else:
            continue
        for name in names:
            first = name.partition(".")[0]
            assert first == "minigrad" or first in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_the_twin_is_the_same_file_in_the_other_library():
    recipe = Recipe("lab6.network.ResNetLike", channels=1)
    ours, theirs = recipe.make(minigrad), recipe.make(torch)
    assert isinstance(ours, minigrad.nn.Module)
    assert all(isinstance(module, torch.nn.Module) for module in theirs.modules())  # all the way down
    assert type(theirs).__module__ == "torch_lab6.network"
    assert list(theirs.state_dict()) == list(ours.state_dict())


def test_recipes_travel():
    recipe = Recipe(
        "lab8.network.DeepNet", blocks=[Recipe("lab8.network.Block"), Recipe("lab8.network.SkipBlock", dropout=0.5)]
    )
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert repr(again) == repr(recipe)
    kinds = [type(block).__name__ for block in again.make(minigrad).blocks]
    assert kinds == ["Block", "SkipBlock"]


def test_the_networks_of_the_loans_take_their_features():
    assert lab8.network.FEATURES == data.FEATURES
    with pytest.raises(ValueError, match="net is 'simpel', expected 'simple'"):
        lab8.network.network("simpel")
