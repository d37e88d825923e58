"""The walk back: what arrives at the leaves, in which order, and what is refused before anything has changed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.errors import DtypeError, GraphError, ShapeError

BOTH = pytest.mark.parametrize("lib", [minigrad, torch], ids=["minigrad", "torch"])


def leaf(lib: Any, values: Any, dtype: str = "float64") -> Any:
    return lib.tensor(values, dtype=getattr(lib, dtype), requires_grad=True)


def constant(lib: Any, values: Any) -> Any:
    return lib.tensor(values, dtype=lib.float64)


# --- accumulation ----------------------------------------------------------------------------------------------------


@BOTH
def test_a_node_waits_for_all_that_used_it(lib: Any) -> None:
    a = leaf(lib, 3.0)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad.item() == 4.0


@BOTH
def test_branches_of_unequal_length(lib: Any) -> None:
    a = leaf(lib, [1.0, 2.0])
    b = a * a
    short, long = b * 3.0, ((b.exp() * 2.0).log() + b) * b
    (short * long + a).backward(constant(lib, [0.7, -1.3]))
    np.testing.assert_allclose(a.grad.numpy(), EXPECTED_BRANCHES, rtol=1e-12)


def _expected_branches() -> np.ndarray:
    # y = 3b (b + ln 2 + b) b + a with b = a²
    a = np.array([1.0, 2.0])
    b = a * a
    dy_db = 3 * (6 * b * b + 2 * np.log(2.0) * b)
    return np.array([0.7, -1.3]) * (dy_db * 2 * a + 1)


EXPECTED_BRANCHES = _expected_branches()


@BOTH
def test_a_diamond_of_many_layers_takes_one_visit_a_node(lib: Any) -> None:
    x = leaf(lib, 1.0)
    y = x
    for _ in range(60):  # 2⁶⁰ paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


@BOTH
def test_backward_adds_to_grad(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    for _ in range(3):
        (x * x).backward(constant(lib, [1.0, 10.0]))
    assert x.grad.tolist() == [6.0, 120.0]
    x.grad = None
    (x * 2).backward(constant(lib, [1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_grad_keeps_its_tensor_while_it_grows() -> None:
    x = leaf(minigrad, [1.0, 2.0])
    (x * 2).backward(constant(minigrad, [3.0, -5.0]))
    first = x.grad
    (x * 2).backward(constant(minigrad, [1.0, 2.0]))
    assert x.grad is first
    assert first.tolist() == [8.0, -6.0]


def test_gradients_share_no_memory() -> None:
    a, b, c = (leaf(minigrad, [1.0, 2.0]) for _ in range(3))
    g = constant(minigrad, [3.0, 4.0])
    (a + b.reshape(2) + c.clone()).backward(g)
    g.zero_()
    a.grad.zero_()
    assert b.grad.tolist() == [3.0, 4.0]
    assert c.grad.tolist() == [3.0, 4.0]
    a.backward(g)
    g += 1
    assert a.grad.tolist() == [0.0, 0.0]


def test_gradients_share_no_memory_with_create_graph() -> None:
    a, b = (leaf(minigrad, [1.0, 2.0]) for _ in range(2))
    g = constant(minigrad, [3.0, 4.0])
    (a + b).backward(g, create_graph=True)
    a.backward(g, create_graph=True)
    g.zero_()
    a.grad.detach().zero_()
    assert b.grad.tolist() == [3.0, 4.0]


@BOTH
def test_several_roots(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y, z = x * x, x.exp()
    lib.autograd.backward([y, z.sum()], [constant(lib, [1.0, 10.0]), None])
    np.testing.assert_allclose(x.grad.numpy(), [2 + np.e, 40 + np.e**2])


@BOTH
def test_a_root_that_another_root_depends_on(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y = x * x
    z = y * y
    lib.autograd.backward([y, z], [constant(lib, [1.0, 10.0]), constant(lib, [0.5, 0.25])])
    np.testing.assert_allclose(x.grad.numpy(), [2 + 0.5 * 4, 40 + 0.25 * 32])


@BOTH
def test_a_leaf_as_root(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    x.backward(constant(lib, [3.0, 4.0]))
    assert x.grad.tolist() == [3.0, 4.0]


@BOTH
def test_only_the_inputs_asked_for(lib: Any) -> None:
    x, w = leaf(lib, [1.0, 2.0]), leaf(lib, [3.0, 4.0])
    y = x * 2.0
    (y * w).backward(constant(lib, [1.0, 10.0]), inputs=[w, y])
    assert x.grad is None
    assert w.grad.tolist() == [2.0, 40.0]
    assert y.grad.tolist() == [3.0, 40.0]


def test_the_walk_ignores_what_does_not_require_a_gradient() -> None:
    x, k = leaf(minigrad, [1.0, 2.0]), constant(minigrad, [5.0, 6.0])
    (x * k).backward(constant(minigrad, [1.0, 1.0]))
    assert k.grad is None
    assert not (k * k).requires_grad
    assert (k * k).grad_fn is None


# --- depth -----------------------------------------------------------------------------------------------------------


def test_a_chain_of_100_000_ops() -> None:
    x = leaf(minigrad, 1.0)
    y = x
    for _ in range(100_000):
        y = y + 0.5
    y.backward()
    assert x.grad.item() == 1.0
    del y  # freeing it must not recurse either


def test_a_chain_with_saved_arrays() -> None:
    x = leaf(minigrad, 1.0)
    y = x
    for _ in range(20_000):
        y = y.sin()
    (g,) = minigrad.autograd.grad(y, x)
    assert 0 < g.item() < 1e-3
    y = x
    for _ in range(20_000):
        y = y.sin()
    del y  # never walked


def test_a_deep_graph_of_gradients() -> None:
    x = leaf(minigrad, 1.0)
    y = x
    for _ in range(5_000):
        y = y.sin()
    (g,) = minigrad.autograd.grad(y, x, create_graph=True)
    (h,) = minigrad.autograd.grad(g, x)
    assert h.item() < 0


# --- once, twice, and with a graph of its own ------------------------------------------------------------------------


@BOTH
def test_a_second_walk_needs_retain_graph(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y = x.exp()
    y.backward(constant(lib, [1.0, 1.0]), retain_graph=True)
    y.backward(constant(lib, [1.0, 1.0]))
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward(constant(lib, [1.0, 1.0]))
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp([1.0, 2.0]))


def test_a_refused_walk_changes_no_gradient() -> None:
    x, w = leaf(minigrad, [1.0, 2.0]), leaf(minigrad, [3.0, 4.0])
    y = x.exp()
    y.backward(constant(minigrad, [3.0, -5.0]))
    before = x.grad.tolist()
    with pytest.raises(GraphError, match="Exp"):
        (w * 2.0 + y).backward(constant(minigrad, [1.0, 1.0]))
    assert w.grad is None
    assert x.grad.tolist() == before


@BOTH
def test_ops_that_save_nothing_can_be_walked_again(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y = x + 1.0
    y.backward(constant(lib, [1.0, 2.0]))
    y.backward(constant(lib, [1.0, 2.0]))
    assert x.grad.tolist() == [2.0, 4.0]


@BOTH
def test_derivatives_of_any_order(lib: Any) -> None:
    x = leaf(lib, 0.3)
    g = x.sin() * x.exp()
    for n in range(1, 7):
        (g,) = lib.autograd.grad(g, x, create_graph=True)
        assert g.item() == pytest.approx(2 ** (n / 2) * np.exp(0.3) * np.sin(0.3 + n * np.pi / 4), rel=1e-12)


@BOTH
def test_a_penalty_on_the_gradient(lib: Any) -> None:
    x, w = leaf(lib, [[0.5, -1.0]]), leaf(lib, [[0.3, 0.2], [-0.4, 0.7]])
    y = lib.tanh(x @ w).sum()
    (g,) = lib.autograd.grad(y, x, create_graph=True)
    (y + (g * g).sum()).backward()
    np.testing.assert_allclose(w.grad.numpy(), PENALTY, rtol=1e-9)


def _penalty() -> np.ndarray:
    x, w = np.array([[0.5, -1.0]]), np.array([[0.3, 0.2], [-0.4, 0.7]])

    def loss(w: np.ndarray) -> float:
        t = np.tanh(x @ w)
        g = (1 - t * t) @ w.T
        return float(t.sum() + (g * g).sum())

    out = np.zeros_like(w)
    for i in np.ndindex(*w.shape):
        e = np.zeros_like(w)
        e[i] = 1e-5
        five = (loss(w - 2 * e) - 8 * loss(w - e) + 8 * loss(w + e) - loss(w + 2 * e)) / (12 * 1e-5)
        out[i] = five
    return out


PENALTY = _penalty()


@BOTH
@pytest.mark.filterwarnings("ignore:Using backward")
def test_backward_through_a_gradient(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0, 3.0])
    u, v = [2.0, -1.0, 0.5], [1.0, 3.0, -2.0]
    (x**3).backward(constant(lib, u), create_graph=True)
    (x.grad**2).backward(constant(lib, v))  # x.grad = 3x²u + d/dx Σ v (3x²u)² = 36x³u²v
    np.testing.assert_allclose(x.grad.detach().numpy(), [6 + 144, -12 + 864, 13.5 - 486])


# --- grad() ----------------------------------------------------------------------------------------------------------


@BOTH
def test_grad_of_tensors_in_the_middle(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y = x * x
    z = y.exp() * x
    gz = constant(lib, [0.5, -2.0])
    gy, gx = lib.autograd.grad(z, [y, x], gz)
    e = np.exp([1.0, 4.0])
    np.testing.assert_allclose(gy.numpy(), [0.5, -2.0] * e * [1.0, 2.0])
    np.testing.assert_allclose(gx.numpy(), [0.5, -2.0] * (e + e * [1.0, 2.0] * np.array([2.0, 4.0])))
    assert x.grad is None


@BOTH
def test_grad_with_respect_to_an_output_itself(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    y = x * 3.0
    gy, gx = lib.autograd.grad(y, [y, x], constant(lib, [1.0, 5.0]))
    assert gy.tolist() == [1.0, 5.0]
    assert gx.tolist() == [3.0, 15.0]


@BOTH
def test_grad_of_outputs_of_one_op(lib: Any) -> None:
    class Both(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3, x * 5

        @staticmethod
        def backward(ctx, a, b, c):
            return a * 2 + b * 3 + c * 5

    x = leaf(lib, [1.0, 2.0])
    double, triple, _ = Both.apply(x)
    y = double * triple
    da, db, dx = lib.autograd.grad(y, [double, triple, x], constant(lib, [1.0, 10.0]))
    assert da.tolist() == [3.0, 60.0]
    assert db.tolist() == [2.0, 40.0]
    assert dx.tolist() == [12.0, 240.0]
    assert [number for _, number in y.grad_fn.next_functions] == [0, 1]


@BOTH
def test_grad_and_inputs_that_do_not_matter(lib: Any) -> None:
    x, w = leaf(lib, [1.0, 2.0]), leaf(lib, [3.0])
    with pytest.raises(RuntimeError, match="allow_unused"):
        lib.autograd.grad((x * 2).sum(), [x, w])
    gx, gw = lib.autograd.grad((x * 2).sum(), [x, w], allow_unused=True)
    assert gx.tolist() == [2.0, 2.0]
    assert gw is None
    assert lib.autograd.grad((x * 2).sum(), [w], materialize_grads=True)[0].tolist() == [0.0]


@BOTH
def test_grad_of_several_outputs(lib: Any) -> None:
    x = leaf(lib, [1.0, 2.0])
    (g,) = lib.autograd.grad([x * 2, x * x], x, [constant(lib, [1.0, 1.0]), constant(lib, [1.0, 10.0])])
    assert g.tolist() == [4.0, 42.0]


def test_grad_walks_only_what_leads_to_the_inputs() -> None:
    x, w = leaf(minigrad, [1.0, 2.0]), leaf(minigrad, [3.0, 4.0])
    called = []
    y = w.exp()
    y.register_hook(lambda g: called.append(1))
    z = y * x
    minigrad.autograd.grad(z, x, constant(minigrad, [1.0, 1.0]), retain_graph=True)
    z.backward(constant(minigrad, [1.0, 1.0]))
    assert w.grad is not None


def test_what_grad_returns_has_memory_of_its_own() -> None:
    a, b = leaf(minigrad, [1.0, 2.0]), leaf(minigrad, [1.0, 2.0])
    y = a + b
    g = constant(minigrad, [1.0, 5.0])
    ga, gb, gy = minigrad.autograd.grad(y, [a, b, y], g)
    for t in (ga, gb, gy):
        t.zero_()
    assert g.tolist() == [1.0, 5.0]
    ga, gb = minigrad.autograd.grad(a + b, [a, b], g)
    ga.zero_()
    assert gb.tolist() == [1.0, 5.0]


# --- refusals --------------------------------------------------------------------------------------------------------


def test_refusals_say_what_is_wrong() -> None:
    x = leaf(minigrad, [1.0, 2.0])
    y = x * 2
    with pytest.raises(GraphError, match=r"only for a scalar.*shape \(2,\)"):
        y.backward()
    with pytest.raises(ShapeError, match=r"gradient has shape \(3,\).*\(2,\)"):
        y.backward(minigrad.ones(3, dtype=minigrad.float64))
    with pytest.raises(DtypeError, match="int64"):
        y.backward(minigrad.ones(2, dtype=minigrad.int64))
    with pytest.raises((TypeError, ValueError), match="gradient"):
        y.backward([1.0, 2.0])
    with pytest.raises(TypeError, match="gradient is a float"):
        y.backward(1.0)
    with pytest.raises(GraphError, match="does not require a gradient"):
        minigrad.ones(1).backward()
    with minigrad.no_grad():
        z = x.sum()
    with pytest.raises(GraphError, match="no_grad"):
        z.backward()
    with pytest.raises(ValueError, match="2 tensor"):
        minigrad.autograd.backward([y, y], [minigrad.ones(2, dtype=minigrad.float64)])
    with pytest.raises(GraphError, match="input 0 does not require"):
        minigrad.autograd.grad(y.sum(), minigrad.ones(2))
    with pytest.raises(TypeError, match="expected a Tensor"):
        minigrad.autograd.backward(3.0)
    assert x.grad is None


def test_the_upstream_gradient_takes_the_tensors_dtype() -> None:
    x = leaf(minigrad, [1.0, 2.0], "float32")
    (x * 2).backward(minigrad.ones(2, dtype=minigrad.float64))
    assert x.grad.dtype == minigrad.float32


def test_dtypes_along_the_way_come_back_to_each_leafs_own() -> None:
    a, b = leaf(minigrad, [1.0, 2.0], "float32"), leaf(minigrad, [1.0, 2.0], "float64")
    c = leaf(minigrad, [1.0, 2.0], "float16")
    (a * b + c.float() * a).backward(minigrad.ones(2, dtype=minigrad.float64))
    assert [t.grad.dtype for t in (a, b, c)] == [minigrad.float32, minigrad.float64, minigrad.float16]


# --- the graph as seen from outside ----------------------------------------------------------------------------------


def test_the_graph_can_be_read() -> None:
    x = leaf(minigrad, [1.0])
    y = x.exp()
    z = (y + x).sum()
    assert x.grad_fn is None
    assert x.is_leaf
    assert not z.is_leaf
    assert z.grad_fn.name() == "SumBackward"
    add = z.grad_fn.next_functions[0][0]
    assert add.name() == "AddBackward"
    left, right = add.next_functions
    assert left[0].name() == "ExpBackward"
    assert right[0].variable is x


def test_leaves_made_by_integers_and_comparisons() -> None:
    x = leaf(minigrad, [1.0, 2.0])
    for y in (x > 1, x.argmax(), x.long(), x.detach(), x.sort().indices):
        assert y.is_leaf
        assert not y.requires_grad


def test_threads_walk_their_own_graphs() -> None:
    shared = leaf(minigrad, np.ones(50))
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            for _ in range(30):
                w = leaf(minigrad, rng.standard_normal(50))
                with minigrad.no_grad():
                    assert not (w * 2).requires_grad
                y = ((w * shared).exp() * w).sum()
                (g,) = minigrad.autograd.grad(y, w)
                e = np.exp(w.detach().numpy())
                np.testing.assert_allclose(g.numpy(), e * (1 + w.detach().numpy()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors


def test_recording_is_switched_for_one_thread_alone() -> None:
    seen = []
    with minigrad.no_grad():
        t = threading.Thread(target=lambda: seen.append(minigrad.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]
