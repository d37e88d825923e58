"""Every operator and module that minigrad has, on the samples with which PyTorch tests its own.

What minigrad does otherwise on purpose stands in ``DIFFERENCES``, each with its reason, and is held to that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from operator_samples import (
    DTYPES,
    Call,
    Inexpressible,
    calls,
    compared,
    errors,
    lookup,
    module_calls,
    module_names,
    operator_names,
    run,
    tables,
    torch,
)

import minigrad
import minigrad.nn.functional

# Functions and methods that take a number in either place, where PyTorch takes it in one of them or in none.
TAKES_NUMBERS = "eq|ne|ge|gt|le|lt|logical_|bitwise_|__r"
RANDOM = r"normal|rand|multinomial|bernoulli|empty|(nn\.functional\..*)?dropout"  # shapes and dtypes are compared


def whole_numbers(call: Call) -> bool:
    return call.what in ("int64", "uint8", "bool")


def fractions_in_whole_numbers(call: Call) -> bool:
    kind = call.kwargs.get("dtype")
    return (
        kind is not None
        and not kind.is_floating_point
        and any(isinstance(a, float) or (isinstance(a, torch.Tensor) and a.is_floating_point()) for a in call.args)
    )


def equal_elements(call: Call) -> bool:
    return len(np.unique(call.args[0].detach().numpy())) < call.args[0].numel()


@dataclass(frozen=True)
class Difference:
    """Calls of some operators (a pattern) whose outcome differs in a way that begins with ``how``."""

    operators: str
    how: str
    when: Callable[[Call], bool]
    why: str


DIFFERENCES = [
    Difference(
        r"(avg|max)_pool|conv|local_response_norm|unfold|interpolate:bi|feature_alpha_dropout",
        "error: DtypeError",
        whole_numbers,
        "integers and bools have no place among floating weights and means: .float() says what is meant",
    ),
    Difference(
        r"^(arange|linspace)",
        r"shape|value",
        fractions_in_whole_numbers,
        "fractions in an integer dtype are rounded after the numbers were spaced; PyTorch rounds start and step first",
    ),
    Difference(
        r"^(sort|topk)",
        "value: output 1",
        equal_elements,
        "equal elements keep their order; in PyTorch it is left open",
    ),
    Difference(r"^argsort", "value", equal_elements, "equal elements keep their order; in PyTorch it is left open"),
    Difference(r"^einsum", "dtype", whole_numbers, "integers keep their dtype; PyTorch widens some sums to int64"),
    Difference(
        r"^full_like",
        "error: OverflowError",
        lambda call: call.what == "uint8" and call.args[1] < 0,
        "a number that does not fit is refused, as in full()",
    ),
    Difference(r"^addr", "dtype", whole_numbers, "bools times whole numbers are whole numbers"),
    Difference(
        r"pairwise_distance", "value", lambda call: call.what == "uint8", "unsigned differences do not wrap round"
    ),
    Difference(r"^norm:nuc", "error: ValueError", lambda call: True, "there is no singular value decomposition"),
    Difference(
        r"^(bernoulli|normal)", "requires_grad", lambda call: True, "draws are constants; PyTorch's gradient is 0"
    ),
    Difference(
        r"hardsigmoid",
        "gradient",
        lambda call: call.what in ("float64", "strided", "method", "in place"),
        "the slope is 1/6; PyTorch's is 1/6 in float32",
    ),
    Difference(
        r"LPPool",
        "value",
        lambda call: "1.5" in call.what,
        "the sum is of |x|ᵖ; PyTorch's, of xᵖ, is NaN for negative x",
    ),
]


def variants(name: str) -> list[str]:
    """The entries of PyTorch's table for an operator."""
    return [key for key in tables()[0] if key.partition(":")[0] == name]


def deliberate(name: str, call: Call, found: str) -> bool:
    return any(re.search(d.operators, name) and re.match(d.how, found) and d.when(call) for d in DIFFERENCES)


def unlike(name: str, made: Iterator[Call], random: bool = False) -> list[str]:
    differences = []
    for call in made:
        found = compared(call, random)
        if found is not None and not deliberate(name, call, found):
            differences.append(f"{name}, {call}: {found[:400]}")
    return differences


def told(differences: list[str]) -> str:
    return f"{len(differences)} calls differ, the first ones:\n" + "\n".join(sorted(differences, key=len)[:4])


@pytest.mark.parametrize("name", operator_names())
@np.errstate(all="ignore")
def test_samples_of_an_operator(name: str) -> None:
    differences = [
        text
        for key in variants(name)
        for dtype in DTYPES
        for text in unlike(key, calls(key, dtype), re.match(RANDOM, name) is not None)
    ]
    assert not differences, told(differences)


@pytest.mark.parametrize("name", operator_names())
def test_what_pytorch_refuses_is_refused(name: str) -> None:
    for key in variants(name):
        for call in errors(key):
            if re.match(TAKES_NUMBERS, name) and any(isinstance(a, int) for a in call.args):
                continue
            with contextlib.suppress(RuntimeError, ValueError, TypeError, IndexError, Inexpressible):
                raise AssertionError(f"{call} gave {run(minigrad, call).values}")


def passes(name: str) -> Iterator[Call]:
    for dtype in ("float64", "float32"):
        for training in (True, False) if tables()[1][name].train_and_eval_differ else (True,):
            yield from module_calls(name, dtype, training)


@pytest.mark.parametrize("name", module_names())
@np.errstate(all="ignore")
def test_samples_of_a_module(name: str) -> None:
    differences = unlike(name, passes(name))
    assert not differences, told(differences)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.operators)
@np.errstate(all="ignore")
def test_a_difference_is_still_there(difference: Difference) -> None:
    keys = [key for key in tables()[0] if re.search(difference.operators, key) and lookup(key.partition(":")[0])]
    modules = [name for name in module_names() if re.search(difference.operators, name)]
    made = (call for call in [*(calls(key, d) for key in keys for d in DTYPES), *map(passes, modules)])
    assert any(
        re.match(difference.how, found)
        for part in made
        for call in part
        if difference.when(call) and (found := compared(call)) is not None
    )


def test_a_wrong_value_and_a_wrong_gradient_are_noticed() -> None:
    def wrong(lib: Any) -> Callable[..., Any]:
        return lambda x: x * (1.001 if lib is minigrad else 1.0)

    def wrong_gradient(lib: Any) -> Callable[..., Any]:
        return lambda x: x + (x - x.detach()) * (0.001 if lib is minigrad else 0.0)

    x = torch.rand(3, requires_grad=True)
    for how, made in (("value", wrong), ("gradient", wrong_gradient)):
        found = compared(Call("float32", made(torch), made(minigrad), (x,), {}))
        assert found is not None
        assert found.startswith(how)
