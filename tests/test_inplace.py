"""Change in place: the same numbers, gradients and refusals as PyTorch, through views and views of views."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import quiet, torch

import minigrad
from minigrad.errors import DtypeError, GraphError, ShapeError

X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]])
G = np.array([[0.3, -1.1, 0.7], [2.0, -0.4, 1.3]])


def T(lib: Any, values: Any, grad: bool = False) -> Any:
    return lib.tensor(values, dtype=lib.float64, requires_grad=grad)


def outcome(lib: Any, program: Callable[[Any, Any], Any]) -> Any:
    """What a program makes of a leaf x: its result, other tensors it returns, and x's gradient; or "refused"."""
    x = T(lib, X, grad=True)
    try:
        with quiet():
            out = program(lib, x)
            first, *others = out if isinstance(out, tuple) else (out,)
            if first.requires_grad:
                g = np.resize(G, first.shape)
                first.backward(T(lib, g))
    except RuntimeError as error:
        return "refused", str(error)
    arrays = [t.detach().numpy().copy() for t in (first, *others)]
    return arrays, None if x.grad is None else x.grad.numpy().copy()


def same(program: Callable[[Any, Any], Any]) -> None:
    got, want = outcome(minigrad, program), outcome(torch, program)
    if "refused" in (got[0], want[0]) if isinstance(got[0], str) or isinstance(want[0], str) else False:
        assert got[0] == want[0], (got, want)
        return
    for a, b in zip(got[0], want[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    if want[1] is None:
        assert got[1] is None
    else:
        np.testing.assert_allclose(got[1], want[1], rtol=1e-12)


def program(*lines: str) -> Callable[[Any, Any], Any]:
    """Statements on ``lib`` and x; the last line is what is returned."""
    code = compile("\n".join(lines[:-1]), "program", "exec")
    result = compile(lines[-1], "program", "eval")

    def run(lib: Any, x: Any) -> Any:
        names = {"lib": lib, "x": x, "T": lambda v, grad=False: T(lib, v, grad)}
        exec(code, names)
        return eval(result, names)

    return run


# fmt: off
PROGRAMS = {
    # every in-place method on a tensor of the graph
    "add_": ("y = x * 1", "y.add_(2)", "y"),
    "add_ a number, alpha": ("y = x * 1", "y.add_(2, alpha=3)", "y.sub_(1.5, alpha=0.5)", "y"),
    "add_ alpha": ("y = x * 1", "y.add_(x, alpha=3)", "y"),
    "sub_": ("y = x * 1", "y.sub_(x * x, alpha=0.5)", "y"),
    "mul_": ("y = x * 1", "y.mul_(x)", "y"),
    "div_": ("y = x * 1", "y.div_(x * x)", "y"),
    "pow_": ("y = x * 1", "y.pow_(3)", "y"),
    "operators": ("y = x * 1", "y += 1", "y -= x", "y *= x", "y /= 4", "y **= 2", "y"),
    "neg_": ("y = x * 1", "y.neg_()", "y"),
    "floor_": ("y = x * 1", "y.floor_()", "y * x"),
    "ceil_": ("y = x * 1", "y.ceil_()", "y * x"),
    "sign_": ("y = x * 1", "y.sign_()", "y * x"),
    "square_": ("y = x * 1", "y.square_()", "y * 2"),
    "reciprocal_": ("y = x * 1", "y.reciprocal_()", "y * y"),
    "exp_": ("y = x * 1", "y.exp_()", "y * y"),
    "log_": ("y = x * x", "y.log_()", "y"),
    "sqrt_": ("y = x * x", "y.sqrt_()", "y * y"),
    "abs_": ("y = x * 1", "y.abs_()", "y"),
    "tanh_": ("y = x * 1", "y.tanh_()", "y * 2"),
    "sigmoid_": ("y = x * 1", "y.sigmoid_()", "y * 2"),
    "relu_": ("y = x * 1", "y.relu_()", "y * 2"),
    "clamp_": ("y = x * 1", "y.clamp_(-1.7, 2.5)", "y"),
    "round_": ("y = x * 1", "y.round_()", "y"),
    "zero_": ("y = x * 1", "y.zero_()", "y + x"),
    "fill_": ("y = x * 1", "y.fill_(3)", "y + x"),
    "fill_ tensor": ("y = x * 1", "y.fill_(x.sum().detach())", "y + x"),
    "copy_": ("y = x * 1", "y.copy_(x[0] * 2)", "y"),
    "copy_ constant": ("y = x * 1", "y.copy_(T([1.0, 2.0, 3.0]))", "y + x"),
    "copy_ into a constant": ("y = T([[0.0] * 3] * 2)", "y.copy_(x * 2)", "y"),
    "zero_, fill_, copy_ before an infinite gradient": ("y, z, u = x * 1, x * 1, x * 1", "y.zero_()", "z.fill_(2)", "u.copy_(T([1.0, 2.0, 3.0]))", "(y + z + u) * float('inf') + x"),
    "masked_fill_": ("y = x * 1", "y.masked_fill_(x > 0, 9.0)", "y"),
    "scatter_": ("y = x * 1", "y.scatter_(1, lib.tensor([[0], [2]]), x[:, :1] * 3)", "y"),
    "scatter_ number": ("y = x * 1", "y.scatter_(1, lib.tensor([[0], [2]]), 5.0)", "y"),
    "scatter_add_": ("y = x * 1", "y.scatter_add_(1, lib.tensor([[0, 0, 1], [2, 2, 2]]), x * x)", "y"),
    "index_fill_": ("y = x * 1", "y.index_fill_(-1, lib.tensor([0, 2]), 7.0)", "y"),
    "addcmul_": ("y = x * 1", "y.addcmul_(x, x, value=0.5)", "y"),
    "addcdiv_": ("y = x * 1", "y.addcdiv_(x, x * x + 1, value=-2)", "y"),
    "lerp_": ("y = x * 1", "y.lerp_(x * x, 0.3)", "y"),
    "lerp_ by a tensor": ("y = x * 1", "y.lerp_(x * x, T([0.1, 0.5, 0.9]))", "y"),
    "detach_": ("y = x * 1", "y.detach_()", "y"),
    # a constant that becomes part of the graph
    "constant *= w": ("y = T([[1.0] * 3] * 2)", "y *= x", "y"),
    "view of a constant *= w": ("c = T([1.0, 2.0, 3.0])", "v = c[1:]", "v *= x[0, 1:]", "c * c, v"),
    "constant[0] = w": ("y = T([[1.0] * 3] * 2)", "y[0] = x[1]", "y"),
    # writing through views
    "v = y[0]; v += w": ("y = x * 1", "v = y[0]", "v += x[1]", "y, v"),
    "an element": ("y = x * 1", "v = y[0, 1]", "v += x[1, 2]", "v *= 3", "y, v"),
    "an element of a vector": ("y = x[0] * 1", "v = y[0]", "v += x[1, 2]", "y, v"),
    "y[0] += 1": ("y = x * 1", "y[0] += 1", "y[1] *= x[0]", "y[0, 2] -= x[1, 1]", "y"),
    "siblings": ("y = x * 1", "a, b = y[0], y[:, 1]", "a *= 2", "b += 5", "a *= x[0]", "y, a, b"),
    "siblings seen": ("y = x * 1", "a, b = y[0], y[:, 1]", "a *= 2", "b * b"),
    "view of a view": ("y = x * 1", "v = y[0:2, 1:]", "w = v[1]", "u = w.view(2, 1)", "u *= x[0, :2].view(2, 1)", "v -= 1", "y, v, w, u"),
    "transpose": ("y = x * 1", "v = y.t()", "v[0] *= 2", "v += x.t()", "y, v"),
    "transpose and back": ("y = x * 1", "v = y.t().t()", "v *= x", "y, v"),
    "permute, unsqueeze": ("y = x * 1", "v = y.unsqueeze(0).permute(2, 0, 1)", "v[1] *= 4", "y, v"),
    "flatten": ("y = x * 1", "v = y.view(6)", "v[1::2] = 0", "v[0] *= 5", "y, v"),
    "flattened, lying transposed": ("y = x.t() * 1", "v = y.t().contiguous().view(6)", "v *= 2", "y, v"),
    "diagonal step": ("y = x * 1", "y.view(6)[::4].mul_(3)", "y"),
    "squeeze": ("y = x[:1] * 1", "v = y.squeeze(0)", "v *= x[1]", "y"),
    "the base changes": ("y = x * 1", "v = y[0]", "y *= 3", "v, y"),
    "the base changes, view of a view": ("y = x * 1", "v = y[0]", "w = v[1:]", "y *= x", "w + 0, v, y"),
    "base and view by turns": ("y = x * 1", "v = y[0]", "y *= 2", "v *= 3", "y += x", "v -= x[1]", "y, v"),
    "a view outlives its base": ("y = x * 1", "v = y[0]", "del y", "v *= 2", "v"),
    "the graph of the old view": ("y = x * 1", "v = y[0]", "z = v + 1", "v *= 2", "z + v"),
    "a chunk": ("y = x * 1", "v = y[:, :2]", "v.zero_()", "y"),
    "setitem through a view": ("y = x * 1", "v = y[:, 1:]", "v[0, 0] = x[1, 1] * 2", "y, v"),
    "mask": ("y = x * 1", "y[x > 0] = 0", "y[x < 0] *= 2", "y"),
    "integer array": ("y = x * 1", "y[[1, 0], [2, 1]] = x[0, :2]", "y"),
    "a slice from the same tensor": ("y = x * 1", "y[0] = y[1] * 2", "y[:, 0] = y[:, 2].clone()", "y"),
    "detached memory": ("y = x * 1", "d = y.detach()", "d += 1", "y + 0"),
    "under no_grad": ("y = x * 1", "with lib.no_grad(): y[0] *= 100", "y + 0"),
    "a leaf under no_grad": ("with lib.no_grad(): x[0] *= 2; x.add_(1)", "x * 3"),
    "a leaf without gradient": ("y = T([1.0, 2.0, 3.0])", "y.mul_(2)", "y[1:] += 1", "y * x"),
    "arithmetic on itself": ("y = x * 1", "y += y", "y -= 3 * y", "y"),
    # changes of what a rule needs
    "a factor": ("y = x * 1", "z = y * y", "y += 1", "z"),
    "a factor, through a view": ("y = x * 1", "z = y * y", "y[0] = 0", "z"),
    "a factor that is a view": ("y = x * 1", "v = y[0]", "z = v * v", "y += 1", "z"),
    "the other half of the memory": ("y = x * 1", "v, w = y[0], y[1]", "z = v * v", "w += 1", "z"),
    "through detach": ("y = x * 1", "z = y.sin()", "y.detach().add_(1)", "z"),
    "a result": ("y = x.exp()", "z = y * 1", "y[0] = 0", "z"),
    "a leaf that a rule needs": ("z = x * x", "with lib.no_grad(): x += 1", "z"),
    "a constant that a rule needs": ("c = T([1.0, 2.0, 3.0])", "z = x * c", "c *= 2", "z"),
    "a mask that a rule needs": ("m = x > 0", "z = lib.where(m, x, x * 2)", "m[0] = False", "z"),
    "a target that a rule needs": ("t = lib.tensor([0, 1])", "z = lib.nn.functional.cross_entropy(x, t)", "t[0] = 2", "z"),
    "a weight that a rule needs": ("w = T([1.0, 2.0, 3.0])", "z = lib.nn.functional.binary_cross_entropy_with_logits(x, lib.sigmoid(x.detach()), pos_weight=w)", "w *= 2", "z"),
    "expanded": ("y = x[:, :1] * 1", "e = y.expand(2, 3)", "z = e * e", "y += 1", "z"),
    "a term": ("y = x * 1", "z = y + y", "y += 1", "z"),
    "a sum": ("y = x * 1", "z = y.sum(0)", "y += 1", "z"),
    "another's factor": ("y = x * 1", "z = y * 3", "y += 1", "z"),
    "relu's input": ("y = x * 1", "z = lib.relu(y)", "y += 1", "z"),
    "a product's operand": ("y = x * 1", "z = y @ y.t()", "y.zero_()", "z"),
    "changed and changed back": ("y = x * 1", "z = y * y", "y += 1", "y -= 1", "z"),
    # refused outright
    "a leaf": ("x += 1", "x"),
    "a leaf's element": ("x[0, 0] = 1", "x"),
    "a leaf's view": ("v = x[0]", "v *= 2", "x"),
    "a leaf's view of a view": ("x.t()[0].zero_()", "x"),
    "a leaf filled": ("x.fill_(0)", "x"),
    "a leaf copied into": ("x.copy_(x)", "x"),
    "a leaf that is a view of a constant": ("c = T([1.0, 2.0, 3.0])", "v = c[1:].requires_grad_()", "v += 1", "v * 1"),
    "a view of a leaf that is a view": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "v.view(2).mul_(3)", "v * 1"),
    "an element of a leaf that is a view": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "v[0] = 5.0", "v * 1"),
    "a view of a view of such a leaf": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "v.view(2, 1).t()[0].add_(1)", "v * 1"),
    "such a leaf's expanded row": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "v[:1].squeeze(0).zero_()", "v * 1"),
    "a detached view made a leaf": ("v = x.detach()[0].requires_grad_()", "v[1:].mul_(2)", "v * 1"),
    "a view made under no_grad, then a leaf": ("y = x * 1\nwith lib.no_grad(): v = y[0]", "v.requires_grad_()", "v[1:].mul_(2)", "y"),
    "a view whose base was detached": ("y = x * 1", "v = y[0]", "y.detach_()", "v.mul_(2)", "v"),
    "such a leaf, under no_grad": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()\nwith lib.no_grad(): v.view(2).mul_(3)", "v * v * x[0, :2]"),
    "the base of such a leaf": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "c.mul_(3)", "v * x[0, :2]"),
    "the base of such a leaf, used before": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_()", "z = v * v", "c.mul_(3)", "z * x[0, :2]"),
    "no longer a leaf that requires one": ("c = T([1.0, 2.0, 3.0])", "v = c[:2].requires_grad_().requires_grad_(False)", "v.view(2).mul_(x[0, :2])", "c * c"),
    "memory expanded to two": ("y = x[:, :1] * 1", "y.expand(2, 2).mul_(2)", "y"),
    "expanded memory": ("y = x[:, :1] * 1", "y.expand(2, 3).add_(1)", "y"),
    "a view made under no_grad": ("y = x * 1\nwith lib.no_grad(): v = y[0]", "v += 1", "y"),
}
# fmt: on


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    same(program(*PROGRAMS[name]))


@pytest.mark.parametrize(
    "name", ["a factor", "a factor, through a view", "a result", "through detach", "a leaf that a rule needs"]
)
def test_the_error_names_op_and_change(name: str) -> None:
    kind, message = outcome(minigrad, program(*PROGRAMS[name]))
    assert kind == "refused"
    assert "changed in place" in message
    assert "version 1, expected 0" in message


# --- programs drawn at random ----------------------------------------------------------------------------------------

VIEWS = {
    "row": lambda t: t[0] if t.ndim else t,
    "last row": lambda t: t[-1] if t.ndim else t,
    "tail": lambda t: t[1:] if t.ndim and t.shape[0] > 1 else t,
    "every second": lambda t: t[..., ::2] if t.ndim else t,
    "transpose": lambda t: t.transpose(0, -1) if t.ndim else t,
    "new axis": lambda t: t[None] if t.ndim < 3 else t,
    "flat": lambda t: t.view(-1) if t.is_contiguous() else t.transpose(0, -1),
}
CHANGES = {
    "add": lambda t, o: t.add_(0.5),
    "scale": lambda t, o: t.mul_(-1.5),
    "add another": lambda t, o: t.add_(o.sum() * 0.1),
    "scale by another": lambda t, o: t.mul_(o.mean()),
    "zero": lambda t, o: t.zero_(),
    "write a number": lambda t, o: t.__setitem__(..., 2.0),
    "write a part": lambda t, o: t.__setitem__(0, o.sum()) if t.ndim else t.add_(1),
    "square": lambda t, o: t.pow_(2),
}
USES = {
    "sum": lambda t: t.sum(),
    "square": lambda t: (t * t).sum(),
    "scale": lambda t: (t * 3).sum(),
    "sin": lambda t: t.sin().sum(),
}

step = st.one_of(
    st.tuples(st.just("view"), st.integers(0, 5), st.sampled_from(sorted(VIEWS))),
    st.tuples(st.just("change"), st.integers(0, 5), st.sampled_from(sorted(CHANGES)), st.integers(0, 5)),
    st.tuples(st.just("change"), st.integers(0, 5), st.sampled_from(sorted(CHANGES)), st.integers(0, 5)),
    st.tuples(st.just("use"), st.integers(0, 5), st.sampled_from(sorted(USES))),
)


@settings(max_examples=250)
@given(st.lists(step, min_size=2, max_size=7), st.booleans())
def test_any_program_of_views_and_changes(steps: list[Any], transposed: bool) -> None:
    def run(lib: Any, x: Any) -> Any:
        tensors = [(x.t() if transposed else x) * 1.0]
        used = []
        for kind, i, name, *other in steps:
            t = tensors[i % len(tensors)]
            if kind == "view":
                tensors.append(VIEWS[name](t))
            elif kind == "change":
                CHANGES[name](t, tensors[other[0] % len(tensors)])
            else:
                used.append(USES[name](t))
        total = sum(used[1:], used[0]) if used else tensors[0].sum()
        return ((total + (tensors[-1] * 2).sum()) * x.sum(), *tensors)

    same(run)


# --- dtypes, shapes, memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("int64", 1.5),
        ("int64", "float32"),
        ("bool", 1),
        ("bool", "int64"),
        ("uint8", "int64"),
        ("float32", "float64"),
        ("int32", True),
        ("float16", 2),
    ],
)
def test_dtype_stays_or_the_change_is_refused(kind: str, other: Any) -> None:
    results = []
    for lib in (minigrad, torch):
        t = lib.ones(2, dtype=getattr(lib, kind))
        o = lib.ones(2, dtype=getattr(lib, other)) if isinstance(other, str) else other
        try:
            t += o
            results.append((str(t.dtype).split(".")[-1], t.tolist()))
        except RuntimeError:
            results.append("refused")
    assert results[0] == results[1]


def test_refusals() -> None:
    t = minigrad.ones(2)
    with pytest.raises(ShapeError, match=r"add_.*\(2, 2\).*\(2,\)"):
        t += minigrad.ones(2, 2)
    with pytest.raises(DtypeError, match="div_"):
        minigrad.tensor([2, 4]).div_(2)
    with pytest.raises(TypeError, match="add_"):
        t.add_("1")
    with pytest.raises(ShapeError, match="copy_"):
        t.copy_(minigrad.ones(3))
    with pytest.raises(ShapeError, match="fill_"):
        t.fill_(minigrad.ones(2))
    with pytest.raises(ShapeError, match=r"pow_|mul_"):
        t.mul_(minigrad.ones(3, 2))
    with pytest.raises(GraphError, match="detach_"):
        minigrad.ones(2)[0:1].detach_()
    frozen = np.ones(2)
    frozen.flags.writeable = False
    for change in (lambda x: x.add_(1), lambda x: x.__setitem__(0, 1.0)):
        with pytest.raises(GraphError, match="read-only"):
            change(minigrad.from_numpy(frozen))
    assert t.tolist() == [1.0, 1.0]


def test_changes_happen_in_the_same_memory() -> None:
    a = np.array([1.0, 2.0, 3.0])
    t = minigrad.from_numpy(a)
    v = t[1:]
    t += 1
    t *= minigrad.tensor([1.0, 2.0, 3.0], dtype=minigrad.float64)
    v[0] = 0.5
    t.clamp_(max=10.0)
    assert a.tolist() == [2.0, 0.5, 10.0]
    assert v.tolist() == [0.5, 10.0]
    assert t.data_ptr() == a.ctypes.data


def test_a_tensor_times_itself() -> None:
    # PyTorch refuses to walk back; the old value is kept here
    x = T(minigrad, X, grad=True)
    y = x * 2
    y *= y
    y.backward(T(minigrad, G))
    np.testing.assert_allclose(x.grad.numpy(), 8 * X * G)


@pytest.mark.parametrize(
    "name",
    [
        "indices",
        "a mask",
        "a list's array",
        "max",
        "sort",
        "gather",
        "embedding",
        "index_select",
        "setitem",
        "scatter_add",
    ],
)
def test_indices_may_change_after_their_use(name: str) -> None:
    # PyTorch refuses to walk back; the op keeps the indices it used
    def use(change: bool) -> Any:
        x = T(minigrad, X, grad=True)
        i, m, a = minigrad.tensor([[0, 0, 1], [2, 2, 2]]), minigrad.tensor([True, False]), np.array([1, 1, 0])
        y = {
            "indices": lambda: x[:, i[0]] * 1,
            "a mask": lambda: x[m] * 1,
            "a list's array": lambda: x[a] * 1,
            "max": lambda: x.max(1),
            "sort": lambda: x.sort(1),
            "gather": lambda: x.gather(1, i),
            "embedding": lambda: minigrad.nn.functional.embedding(i[0], x),
            "index_select": lambda: x.index_select(1, i[0]),
            "setitem": lambda: _written(x, i[0]),
            "scatter_add": lambda: x.scatter_add(1, i, x * 2),
        }[name]()
        if isinstance(y, tuple):
            y, i = y
        if change:
            i.zero_()
            m.zero_()
            a[:] = 0
        y.backward(T(minigrad, np.resize(G, y.shape)))
        return x.grad.tolist()

    assert use(change=True) == use(change=False)


def _written(x: Any, i: Any) -> Any:
    y = x * 1
    y[:, i] = x[:, :1] * 2
    return y


def test_overlapping_memory() -> None:
    t = minigrad.arange(5.0)
    t[1:] += t[:-1]
    assert t.tolist() == [0.0, 1.0, 3.0, 5.0, 7.0]
    t[:-1] = t[1:]
    assert t.tolist() == [1.0, 3.0, 5.0, 7.0, 7.0]
    t *= t
    assert t.tolist() == [1.0, 9.0, 25.0, 49.0, 49.0]
    t -= t[0]
    assert t.tolist() == [0.0, 8.0, 24.0, 48.0, 48.0]


def test_random_fills() -> None:
    minigrad.manual_seed(0)
    t = minigrad.empty(20_000)
    t.normal_(3.0, 0.5)
    assert t.mean().item() == pytest.approx(3.0, abs=0.02)
    assert t.std().item() == pytest.approx(0.5, abs=0.02)
    t.uniform_(-1.0, 3.0)
    assert -1.0 <= t.min().item() < -0.99
    assert 2.99 < t.max().item() < 3.0
    assert t.bernoulli_(0.3).mean().item() == pytest.approx(0.3, abs=0.02)
    assert set(t.random_(2, 5).tolist()) == {2.0, 3.0, 4.0}
    assert set(minigrad.zeros(100, dtype=minigrad.int64).random_(3).tolist()) == {0, 1, 2}
    w = minigrad.ones(3, requires_grad=True)
    y = w * 1.0
    y.normal_()
    (y + w).backward(minigrad.tensor([1.0, 2.0, 3.0]))
    assert w.grad.tolist() == [1.0, 2.0, 3.0]


def test_a_step_of_gradient_descent_keeps_its_parameter() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    address = w.data_ptr()
    for _ in range(3):
        (w * w).sum().backward()
        with minigrad.no_grad():
            w -= 0.1 * w.grad
        w.grad.zero_()
    assert w.is_leaf
    assert w.data_ptr() == address
    np.testing.assert_allclose(w.detach().numpy(), [0.512, 1.024], rtol=1e-6)
