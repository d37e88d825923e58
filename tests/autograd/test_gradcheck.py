"""gradcheck accepts what is right, rejects what is wrong, and says how wrong it is."""

from __future__ import annotations

from typing import Any

import pytest

import minigrad
from minigrad.autograd import Function, GradcheckError, gradcheck, gradgradcheck


def leaf(*values: float, dtype: Any = minigrad.float64) -> Any:
    return minigrad.tensor(values or (0.5, -1.5, 2.0), dtype=dtype, requires_grad=True)


def op(rule: Any) -> Any:
    """y = x³ with a backward rule of the caller's choice."""

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return rule(x, dy)

    return Cube.apply


def test_right_rules_pass() -> None:
    assert gradcheck(op(lambda x, d: d * 3 * x * x), leaf())
    assert gradgradcheck(op(lambda x, d: d * 3 * x * x), leaf())
    assert gradcheck(lambda x, y: (x @ y, x.sum()), (leaf(1.0, 2.0), leaf(0.3, 0.4)))


WRONG = {
    "sign": lambda x, d: -d * 3 * x * x,
    "factor": lambda x, d: d * 3.01 * x * x,
    "missing term": lambda x, d: d * 3 * x * x.abs(),
    "no upstream": lambda x, d: 3 * x * x,
    "zero": lambda x, d: d * 0,
    "one element": lambda x, d: d * 3 * x * x + minigrad.tensor([0.0, 1e-2, 0.0], dtype=minigrad.float64),
    "nan": lambda x, d: d * float("nan"),
    "order": lambda x, d: (d * 3 * x * x).flip(0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_are_rejected(name: str) -> None:
    with pytest.raises(GradcheckError, match="is wrong in"):
        gradcheck(op(WRONG[name]), leaf())
    assert gradcheck(op(WRONG[name]), leaf(), raise_exception=False) is False


def test_the_report_names_the_worst_element() -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(op(WRONG["one element"]), leaf())
    report = str(caught.value)
    assert "wrong in 1 of 3 elements" in report
    assert "index (1,)" in report
    assert "analytic" in report
    assert "numeric" in report
    errors = [float(line.split("error")[1]) for line in report.splitlines() if "h =" in line]
    assert len(errors) == 5
    assert all(e == pytest.approx(1e-2, rel=0.05) for e in errors)  # a wrong rule's error stays, whatever the step


def test_a_rule_wrong_only_in_the_second_order() -> None:
    rule = lambda x, d: d * 3 * (x * x).detach()  # noqa: E731
    assert gradcheck(op(rule), leaf())
    assert gradgradcheck(op(rule), leaf(), raise_exception=False) is False


def test_a_rule_wrong_for_one_of_several_inputs_or_outputs() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y, x + y

        @staticmethod
        def backward(ctx, dp, ds):
            x, y = ctx.saved_tensors
            return dp * y + ds, dp * x - ds  # the last sign

    with pytest.raises(GradcheckError, match="output 1 with respect to input 1"):
        gradcheck(Two.apply, (leaf(), leaf(1.0, 2.0, 3.0)))


def test_random_functions_and_float32_are_refused() -> None:
    with pytest.raises(GradcheckError, match="changed by"):
        gradcheck(lambda x: minigrad.nn.functional.dropout(x), leaf(*range(1, 30)))
    with pytest.raises(ValueError, match="float64"):
        gradcheck(lambda x: x * 2, leaf(dtype=minigrad.float32))
    with pytest.raises(ValueError, match="no input requires"):
        gradcheck(lambda x: x * 2, minigrad.ones(2))


def test_kinks_show_as_errors() -> None:
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: minigrad.relu(x), leaf(0.0))


def test_odd_shapes_and_constant_outputs() -> None:
    zero = minigrad.zeros(0, 3, dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(lambda x: x * 2, zero)
    number = minigrad.tensor(0.3, dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(lambda x: x.exp(), number)
    assert gradgradcheck(lambda x: x.exp(), number)
    assert gradcheck(lambda x: (x * 2, x.detach(), x.argmax()), leaf())
    assert gradcheck(lambda x, k: x * k, (leaf(), minigrad.tensor([1, 2, 3])))
    assert gradgradcheck(lambda x: x * 2, leaf())


def test_inputs_and_their_gradients_stay_as_they_were() -> None:
    x = leaf()
    (x * 1).sum().backward()
    gradcheck(lambda x: x * x, x)
    gradgradcheck(lambda x: x * x * x, x)
    assert x.tolist() == [0.5, -1.5, 2.0]
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_upstream_gradients_of_ones_choice() -> None:
    x = leaf()
    assert gradgradcheck(lambda x: x**3, x, minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64))
