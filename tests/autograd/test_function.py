"""Ops made by users: PyTorch's signature, its bookkeeping, and errors that say which rule is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.errors import GraphError, ShapeError

BOTH = pytest.mark.parametrize("lib", [minigrad, torch], ids=["minigrad", "torch"])


def leaf(lib: Any, *values: float) -> Any:
    return lib.tensor(values or (1.0, 2.0), dtype=lib.float64, requires_grad=True)


def g(lib: Any, *values: float) -> Any:
    return lib.tensor(values or (1.0, 10.0), dtype=lib.float64)


def cube(lib: Any) -> Any:
    class Cube(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return dy * 3 * x * x

    return Cube


@BOTH
def test_a_rule_of_ones_own(lib: Any) -> None:
    x = leaf(lib)
    y = cube(lib).apply(x * 1.0)
    y.backward(g(lib))
    assert y.tolist() == [1.0, 8.0]
    assert x.grad.tolist() == [3.0, 120.0]


def test_it_passes_the_checks_and_shows_in_the_graph() -> None:
    op = cube(minigrad).apply
    assert gradcheck(op, leaf(minigrad, 0.3, -1.2))
    assert gradgradcheck(op, leaf(minigrad, 0.3, -1.2))
    assert op(leaf(minigrad)).grad_fn.name() == "CubeBackward"


@BOTH
def test_forward_records_nothing(lib: Any) -> None:
    seen = []

    class Look(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            seen.append((y.requires_grad, lib.is_grad_enabled()))
            return y

        @staticmethod
        def backward(ctx, dy):
            seen.append(lib.is_grad_enabled())
            return dy * 2

    Look.apply(leaf(lib)).backward(g(lib))
    assert seen == [(False, False), False]


@BOTH
def test_setup_context(lib: Any) -> None:
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(x, k):
            return x * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            _, ctx.k = inputs
            ctx.save_for_backward(output)

        @staticmethod
        def backward(ctx, dy):
            (y,) = ctx.saved_tensors
            return dy * ctx.k + 0 * y, None

    x = leaf(lib)
    Scale.apply(x, 3.0).backward(g(lib))
    assert x.grad.tolist() == [3.0, 30.0]


@BOTH
def test_arguments_of_every_kind(lib: Any) -> None:
    needs = []

    class Mix(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, k, name, y, z=None):
            ctx.save_for_backward(x, None, y)
            return x * y * k

        @staticmethod
        def backward(ctx, dy):
            _, nothing, y = ctx.saved_tensors
            assert nothing is None
            needs.append(tuple(ctx.needs_input_grad))
            return dy * y * 2, None, None, None, None

    x, y = leaf(lib), g(lib, 3.0, 4.0)
    Mix.apply(x, 2, "name", y, None).backward(g(lib))
    assert x.grad.tolist() == [6.0, 80.0]
    assert needs == [(True, False, False, False, False)]


@BOTH
def test_several_outputs(lib: Any) -> None:
    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2, x * x, x.argmax()

        @staticmethod
        def backward(ctx, d2, dsq, _):
            (x,) = ctx.saved_tensors
            return d2 * 2 + dsq * 2 * x

    x = leaf(lib)
    double, squared, place = Both.apply(x)
    assert (double.requires_grad, squared.requires_grad) == (True, True)
    assert place.item() == 1
    (double * squared).backward(g(lib))  # 2x³
    assert x.grad.tolist() == [6.0, 240.0]
    x.grad = None
    Both.apply(x)[0].backward(g(lib))  # the other output gets zeros
    assert x.grad.tolist() == [2.0, 20.0]


@BOTH
def test_outputs_without_gradient(lib: Any) -> None:
    class Split(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            mask = (x > 1).to(x.dtype)
            ctx.mark_non_differentiable(mask)
            ctx.save_for_backward(mask)
            return x * mask, mask

        @staticmethod
        def backward(ctx, dy, dmask):
            (mask,) = ctx.saved_tensors
            assert not dmask.any()
            return dy * mask

    x = leaf(lib)
    y, mask = Split.apply(x)
    assert y.requires_grad
    assert not mask.requires_grad
    y.backward(g(lib))
    assert x.grad.tolist() == [0.0, 10.0]


@BOTH
def test_none_instead_of_zeros(lib: Any) -> None:
    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, a, b):
            assert b is None
            return a * 2

    x = leaf(lib)
    Both.apply(x)[0].backward(g(lib))
    assert x.grad.tolist() == [2.0, 20.0]


@BOTH
def test_an_input_changed_in_place(lib: Any) -> None:
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    x = leaf(lib)
    y = x * 1
    z = y * y
    assert Double.apply(y) is y
    assert y.tolist() == [2.0, 4.0]
    y.backward(g(lib), retain_graph=True)
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(RuntimeError, match=r"in.?place"):
        z.backward(g(lib))
    with pytest.raises(RuntimeError, match="leaf"):
        Double.apply(leaf(lib))


@BOTH
def test_an_input_handed_back_is_a_tensor_of_its_own(lib: Any) -> None:
    class Reverse(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, dy):
            return -dy

    x = leaf(lib)
    y = x * 1
    z = Reverse.apply(y)
    assert z is not y
    (y + 2 * z).backward(g(lib))
    assert x.grad.tolist() == [-1.0, -10.0]
    constant = g(lib)
    same = Reverse.apply(constant)
    assert same.tolist() == constant.tolist()


def test_views_cannot_be_marked_dirty() -> None:
    # PyTorch can; here the base and its other views would not know of the change
    class Double(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, dy):
            return dy * 2

    y = leaf(minigrad) * 1
    v = y[:1]
    for changed in (v, y):
        with pytest.raises(GraphError, match="Double: it changed a view"):
            Double.apply(changed)


def test_an_output_that_shows_an_input_is_never_a_way_around_the_rule() -> None:
    class Flat(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.shape = x.shape
            return x.view(-1)

        @staticmethod
        def backward(ctx, dy):
            return dy.reshape(ctx.shape) * 3

    x = minigrad.tensor([[1.0, 2.0]], requires_grad=True)
    y = x * 1
    z = Flat.apply(y)
    z += 1
    z.backward(minigrad.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [[3.0, 30.0]]
    assert y.tolist() == [[1.0, 2.0]]


@BOTH
@pytest.mark.parametrize("what", ["input", "output", "other"])
def test_saved_tensors_may_not_change(lib: Any, what: str) -> None:
    class Op(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            other, y = x.exp(), x * 2
            ctx.save_for_backward({"input": x, "output": y, "other": other}[what])
            ctx.other = other
            return y

        @staticmethod
        def backward(ctx, dy):
            assert ctx.saved_tensors
            return dy * 2

    x = leaf(lib)
    y = x * 1
    z = Op.apply(y)
    out = z * 1
    {"input": y, "output": z, "other": out.grad_fn.next_functions[0][0].other}[what].add_(1)
    with pytest.raises(RuntimeError, match=r"in.?place"):
        out.backward(g(lib))


@BOTH
def test_once_differentiable(lib: Any) -> None:
    once = minigrad.autograd.once_differentiable if lib is minigrad else torch.autograd.function.once_differentiable

    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once
        def backward(ctx, dy):
            (x,) = ctx.saved_tensors
            return lib.tensor(2 * (dy * x).detach().numpy())

    x = leaf(lib)
    Square.apply(x).backward(g(lib))
    assert x.grad.tolist() == [2.0, 40.0]

    def twice():
        (d,) = lib.autograd.grad(Square.apply(x), x, g(lib).requires_grad_(), create_graph=True)
        d.sum().backward()

    with pytest.raises(RuntimeError, match=r"once.differentiable"):
        twice()


@BOTH
def test_a_second_walk_is_refused(lib: Any) -> None:
    y = cube(lib).apply(leaf(lib))
    y.backward(g(lib))
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward(g(lib))


def test_gradients_it_returns_have_memory_of_their_own() -> None:
    kept = g(minigrad, 5.0, 6.0)

    class Op(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, dy):
            return kept, kept

    x, y = leaf(minigrad), leaf(minigrad)
    Op.apply(x, y).backward(g(minigrad))
    kept.zero_()
    x.grad.zero_()
    assert y.grad.tolist() == [5.0, 6.0]


def returning(value: Any) -> Any:
    class Wrong(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            return x * k

        @staticmethod
        def backward(ctx, dy):
            return value(dy)

    return Wrong


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda d: d, GraphError, "Wrong.backward: returned 1 gradient.*expected 2"),
        (lambda d: (d, None, d), GraphError, "returned 3 gradient.*expected 2"),
        (lambda d: (d.sum(), None), ShapeError, r"gradient 0 has shape \(\).*shape \(2,\)"),
        (lambda d: (3.0, None), TypeError, "gradient 0 is a float"),
        (lambda d: (d.numpy(), None), TypeError, "gradient 0 is a ndarray"),
    ],
)
def test_a_wrong_rule_is_named(value: Any, error: Any, message: str) -> None:
    x = leaf(minigrad)
    with pytest.raises(error, match=message):
        returning(value).apply(x, 2.0).backward(g(minigrad))
    assert x.grad is None


def test_a_rule_may_return_none_and_nones_to_spare() -> None:
    x = leaf(minigrad)
    returning(lambda d: (None, None, None)).apply(x, 2.0).backward(g(minigrad))
    assert x.grad is None


def test_mistakes_in_writing_one() -> None:
    class NotStatic(minigrad.autograd.Function):
        def forward(ctx, x):  # noqa: N805
            return x

    class NotATensor(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 3.0

    class SavesAnything(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(3.0)
            return x * 2

    class NoBackward(minigrad.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(TypeError, match="staticmethod"):
        NotStatic.apply(leaf(minigrad))
    with pytest.raises(TypeError, match="output 0 is a float"):
        NotATensor.apply(leaf(minigrad))
    with pytest.raises(TypeError, match="save_for_backward"):
        SavesAnything.apply(leaf(minigrad))
    with pytest.raises(NotImplementedError, match="NoBackward"):
        NoBackward.apply(leaf(minigrad)).backward(g(minigrad))


def test_without_a_gradient_nothing_is_kept() -> None:
    op = cube(minigrad)
    assert op.apply(g(minigrad)).grad_fn is None
    with minigrad.no_grad():
        assert not op.apply(leaf(minigrad)).requires_grad
    assert np.allclose(op.apply(g(minigrad)).numpy(), [1.0, 1000.0])


@BOTH
@pytest.mark.parametrize("what", ["argument", "leaf", "constant"])
def test_a_rule_that_changes_what_it_saved_is_seen_by_others(lib: Any, what: str) -> None:
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x, k)
            return x * k

        @staticmethod
        def backward(ctx, d):
            x, k = ctx.saved_tensors
            (k if what == "constant" else x).mul_(2)
            return d * k, None

    w, k = leaf(lib), g(lib, 3.0, 4.0)
    x = w if what == "leaf" else w * 1
    total = x * x * k + Scale.apply(x, k)
    with pytest.raises(RuntimeError, match=r"modified by an inplace|changed in place by mul_"):
        total.backward(g(lib))
