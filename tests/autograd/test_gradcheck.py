"""gradcheck accepts what is right, rejects what is wrong, and says how wrong it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.autograd import Function, GradcheckError, Op, gradcheck, gradgradcheck
from minigrad.errors import RuleError


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


KINKS = {
    "relu": (lambda x: minigrad.relu(x), (-1.0, 0.0, 2.0), r"kink.*1 of 3.*\(1,\).*0 to the left and .* to the right"),
    "between ops": (lambda x: minigrad.relu(x * 2).exp() * x.exp(), (0.0, 0.5, 0.0), r"kink.*2 of 3"),
    "a number": (lambda x: minigrad.relu(x), None, r"kink.*1 of 1"),
    "leaky": (lambda x: minigrad.nn.functional.leaky_relu(x), (0.0, 1.0), r"kink.*1 of 2"),
    "clamp": (lambda x: x.clamp(max=2.0), (2.0, 1.0), r"kink.*1 of 2"),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_called_one(name: str) -> None:
    func, values, message = KINKS[name]
    x = leaf(*values) if values else minigrad.tensor(0.0, dtype=minigrad.float64, requires_grad=True)
    with pytest.raises(GradcheckError, match=message) as caught:
        gradcheck(func, x)
    assert "wrong" not in str(caught.value)


def test_a_kink_excuses_no_wrong_rule() -> None:
    steep = lambda x: minigrad.relu(x * 1e4)  # noqa: E731
    assert gradcheck(steep, leaf(0.1, -0.1))
    assert gradcheck(lambda x: (x * 300).sin(), leaf(0.005, 0.3))  # strongly curved, and smooth

    class Bent(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return minigrad.relu(x)

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * (x >= 0) * 3.0

    with pytest.raises(GradcheckError, match="wrong in 2 of 3"):
        gradcheck(Bent.apply, leaf(-1.0, 0.0, 1.0))


# --- what differences alone do not show ------------------------------------------------------------------------------


class Wrong(Op):
    """y = 2 x for x (3,), with a backward rule of the caller's choice."""

    rule: Any = None

    @staticmethod
    def forward(ctx, x, rule):
        ctx.rule = rule
        return x * 2

    @staticmethod
    def backward(ctx, dy):
        return ctx.rule(dy)


def scaled_in_place(dy: Any) -> Any:
    dy *= 2
    return dy


BROKEN = {
    "a shape that broadcasts": (lambda dy: dy * 2 + np.zeros((4, 1)), r"gradient 0 has shape \(4, 3\).*\(3,\)"),
    "a number": (lambda dy: dy.sum() * 2, r"gradient 0 has shape \(\).*\(3,\)"),
    "an axis too many": (lambda dy: dy[None] * 2, r"gradient 0 has shape \(1, 3\)"),
    "no gradient": (lambda dy: (), r"returned 0 gradient"),
    "a change of what it was handed": (scaled_in_place, r"changed in place the gradient of output 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_rule_that_breaks_its_contract_is_named(name: str) -> None:
    rule, message = BROKEN[name]
    # between ops that would put the shape right again, and last before the leaf
    for func in (lambda x: Wrong.apply(x * 1.0, rule).sin(), lambda x: Wrong.apply(x, rule)):
        with pytest.raises(GradcheckError, match=rf"Wrong\.backward: {message}"):
            gradcheck(func, leaf())
        assert gradcheck(func, leaf(), raise_exception=False) is False
        with minigrad.autograd.detect_anomaly(), pytest.raises(RuleError, match=message):
            func(leaf()).backward(minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64))


def test_a_users_rule_that_changes_what_it_was_handed_is_named() -> None:
    def by_method(x, d):
        return d.mul_(3 * x * x)

    def by_numpy(x, d):
        d.numpy()[...] *= (3 * x * x).numpy()
        return d

    for rule in (by_method, by_numpy):
        with pytest.raises(GradcheckError, match=r"Cube\.backward: changed in place"):
            gradcheck(op(rule), leaf())
    with pytest.raises(GradcheckError, match=r"Cube\.backward: changed in place"):
        gradgradcheck(op(by_method), leaf())


def changes(place: str) -> Any:
    class Changes(Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.x, ctx.k = x, k
            if place == "forward":
                x.detach().numpy()[0] += 1e-3
            return x * k

        @staticmethod
        def backward(ctx, dy):
            if place == "backward":
                ctx.k.numpy()[0] += 1e-3
            return dy * ctx.k, None

    return Changes.apply


def test_a_change_of_an_input_is_called_one() -> None:
    k = minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64)
    with pytest.raises(GradcheckError, match="func changed input 0 in place"):
        gradcheck(changes("forward"), (leaf(), k))
    with pytest.raises(GradcheckError, match="a backward rule changed input 1 in place"):
        gradcheck(changes("backward"), (leaf(), k))


def under_no_grad(x: Any) -> Any:
    with minigrad.no_grad():
        return x * 2


DETACHED = {
    "detached": (lambda x: (x * 2).detach(), "no output requires a gradient"),
    "under no_grad": (under_no_grad, "no output requires a gradient"),
    "through NumPy": (lambda x: minigrad.from_numpy(np.exp(x.detach().numpy())), "no output requires a gradient"),
    "one of two outputs": (lambda x: (x * 2, under_no_grad(x)), "output 1 changes with input 0 .*no gradient leads"),
    "the only way": (lambda x: x[:1] * 0 + x.detach(), "is wrong in"),
    "a factor": (lambda x: x * x.detach(), "is wrong in 3 of 3"),
    "indices alone": (lambda x: x.argsort(), "no output requires a gradient"),
}


@pytest.mark.parametrize("name", DETACHED)
def test_what_was_detached_is_refused(name: str) -> None:
    func, message = DETACHED[name]
    with pytest.raises(GradcheckError, match=message):
        gradcheck(func, leaf())
    assert gradcheck(func, leaf(), raise_exception=False) is False


def test_an_input_whose_path_was_cut_is_named() -> None:
    with pytest.raises(GradcheckError, match=r"output 0 changes with input 1 .*detaches"):
        gradcheck(lambda x, y: x * y.detach(), (leaf(), leaf(1.0, 2.0, 3.0)))
    assert gradcheck(lambda x, y: x * (y > 0), (leaf(), leaf(1.0, 2.0, 3.0)))


def test_a_rule_that_cannot_be_differentiated_again_is_refused() -> None:
    rule = lambda x, d: (d * 3 * x * x).detach()  # noqa: E731
    assert gradcheck(op(rule), leaf())
    with pytest.raises(GradcheckError, match=r"no output requires a gradient|no gradient leads"):
        gradgradcheck(op(rule), leaf())


def test_outputs_that_are_not_finite_are_called_so() -> None:
    with pytest.raises(GradcheckError, match="output 0 holds a NaN or an infinity"):
        gradcheck(lambda x: x.log(), leaf(-1.0, 1.0))


def test_odd_shapes_and_constant_outputs() -> None:
    zero = minigrad.zeros(0, 3, dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(lambda x: x * 2, zero)
    number = minigrad.tensor(0.3, dtype=minigrad.float64, requires_grad=True)
    assert gradcheck(lambda x: x.exp(), number)
    assert gradgradcheck(lambda x: x.exp(), number)
    assert gradcheck(lambda x: (x * 2, x.detach() * 0 + 3, x.argmax(), x > 0), leaf())
    assert gradcheck(lambda x, k: x * k, (leaf(), minigrad.tensor([1, 2, 3])))
    assert gradgradcheck(lambda x: x * 2, leaf())


def test_inputs_and_their_gradients_stay_as_they_were() -> None:
    x = leaf()
    (x * 1).backward(minigrad.tensor([2.0, -3.0, 5.0], dtype=x.dtype))
    gradcheck(lambda x: x * x, x)
    gradgradcheck(lambda x: x * x * x, x)
    assert x.tolist() == [0.5, -1.5, 2.0]
    assert x.grad.tolist() == [2.0, -3.0, 5.0]


def test_upstream_gradients_of_ones_choice() -> None:
    x = leaf()
    assert gradgradcheck(lambda x: x**3, x, minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64))
