"""How an op is tested: one line in a table gives it every check.

    class TestElementwise(OpSuite):
        cases = [
            Case("exp", lambda lib, x: lib.exp(x), [real(3, 4)]),
        ]

A line names the op, calls it on ``lib`` (minigrad or torch: the same names, so the line is also a test of the
public face), and says what to feed it. The checks are the methods of :class:`OpSuite`: values and gradients
against PyTorch in float64 and float32, memory layouts, sizes of zero, first and second differences, kernels
against the textbook.
The upstream gradient is random everywhere: a gradient of ones hides wrong rules.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest

import minigrad
from minigrad import kernels
from minigrad.autograd import gradcheck, gradgradcheck

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

Array = np.ndarray[Any, Any]


# --- what ops are fed ----------------------------------------------------------------------


@dataclass(frozen=True)
class Input:
    """An argument: its shape, how its numbers are drawn, and whether a gradient is asked for."""

    shape: tuple[int, ...]
    draw: Callable[[np.random.Generator, tuple[int, ...]], Any]
    grad: bool = True

    def constant(self) -> Input:
        """The same without a gradient."""
        return replace(self, grad=False)


def real(*shape: int) -> Input:
    """Normal numbers, of both signs."""
    return Input(shape, lambda rng, s: rng.standard_normal(s))


def between(low: float, high: float, *shape: int) -> Input:
    """Numbers in [low, high)."""
    return Input(shape, lambda rng, s: rng.uniform(low, high, s))


def away(*shape: int, kinks: Sequence[float] = (0.0,), scale: float = 2.0) -> Input:
    """Numbers of both signs at least 0.05 away from the kinks, where differences say nothing of a slope."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Any:
        x = np.asarray(rng.standard_normal(s) * scale)
        for kink in kinks:
            near = np.abs(x - kink) < 0.05
            x = np.where(near, kink + np.where(x < kink, -0.1, 0.1) - 0.02 * rng.random(s), x)
        return x

    return Input(shape, draw)


def distinct(*shape: int, offset: float = 0.0) -> Input:
    """Numbers at least 0.1 apart, in random order: no ties for max and sort, nor between two offsets."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Any:
        n = int(np.prod(s))
        return (rng.permutation(n) - n / 2.0).reshape(s) * 0.1 + offset

    return Input(shape, draw)


def index(high: int, *shape: int) -> Input:
    """Integers from 0 to high − 1."""
    return Input(shape, lambda rng, s: rng.integers(0, high, s), grad=False)


def mask(*shape: int) -> Input:
    """Bools."""
    return Input(shape, lambda rng, s: rng.random(s) < 0.5, grad=False)


def given(values: Any, grad: bool = True) -> Input:
    """These numbers."""
    array = np.asarray(values)
    return Input(array.shape, lambda rng, s: array.copy(), grad)


def simplex(*shape: int) -> Input:
    """Positive numbers that sum to 1 along axis 1 (along the only axis of a vector)."""

    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Any:
        p = rng.uniform(0.1, 1.0, s)
        return p / p.sum(axis=min(1, p.ndim - 1), keepdims=True)

    return Input(shape, draw)


@dataclass(frozen=True)
class Case:
    """A line of the table.

    Attributes:
        call: ``call(lib, *tensors)``, with ``lib`` minigrad or torch.
        inputs: what it is fed; sizes that are equal belong together (zero-size tests set them to 0 together).
        rtol, atol: how far float32 may be from PyTorch's float32 (float64 is held to 1e-10).
        smooth: False where differences say nothing about the slope: ties, kinks, places written twice.
        second: whether second derivatives are checked.
        empty: whether sizes of zero are tried.
        large: inputs of a size at which kernels take over; kernels and textbook must then agree.
        reference: the same in PyTorch, where its names differ.
    """

    name: str
    call: Callable[..., Any]
    inputs: Sequence[Input]
    rtol: float = 1e-5
    atol: float = 1e-6
    smooth: bool = True
    second: bool = True
    empty: bool = True
    large: Sequence[Input] | None = None
    reference: Callable[..., Any] | None = None

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(sum(map(ord, self.name)))

    def arrays(self, dtype: str = "float64", inputs: Sequence[Input] | None = None) -> list[Array]:
        rng = self.rng()
        drawn = [np.asarray(i.draw(rng, i.shape)) for i in (self.inputs if inputs is None else inputs)]
        return [a.astype(dtype) if a.dtype.kind == "f" else a for a in drawn]

    def wants_grad(self, inputs: Sequence[Input] | None = None) -> list[bool]:
        return [i.grad for i in (self.inputs if inputs is None else inputs)]


# --- running an op -------------------------------------------------------------------------


@dataclass
class Run:
    """What came out of an op: values and dtypes of its outputs, and the gradients of its inputs."""

    values: list[Array]
    dtypes: list[str]
    grads: list[Array | None]


def flat(out: Any) -> list[Any]:
    return list(out) if isinstance(out, (tuple, list)) else [out]


def dtype_name(t: Any) -> str:
    return str(t.dtype).split(".")[-1]


def tensors_of(lib: Any, arrays: Sequence[Array], grad: Sequence[bool]) -> list[Any]:
    """Leaf tensors around copies of the arrays, in minigrad with the arrays' own memory layout."""
    leaves = []
    for a, wanted in zip(arrays, grad, strict=True):
        t = lib.from_numpy(a) if lib is minigrad else torch.from_numpy(np.array(a, order="C"))
        leaves.append(t.requires_grad_() if wanted and a.dtype.kind == "f" else t)
    return leaves


def evaluate(
    lib: Any,
    call: Callable[..., Any],
    arrays: Sequence[Array],
    grad: Sequence[bool],
    relay: Callable[[Array], Array] = lambda a: a,
    create_graph: bool = False,
) -> Run:
    """Run the op and walk back with a random upstream gradient (the same one for every library and layout).

    For minigrad this also shows that neither inputs nor upstream gradients are changed, that every gradient has memory
    of its own, and that results have, or are views that the graph knows of."""
    leaves = tensors_of(lib, arrays, grad)
    before = [a.copy() for a in arrays]
    outs = flat(call(lib, *leaves))
    values = [np.array(y.detach().numpy()) for y in outs]
    if lib is minigrad:
        for x in leaves:
            known_views(x, outs)
    rng = np.random.default_rng(7)
    draws = [rng.standard_normal(v.shape) for v in values]
    upstream, through = [], []
    for y, u, v in zip(outs, draws, values, strict=True):
        if y.requires_grad:
            through.append(y)
            upstream.append(relay(np.asarray(u, dtype=v.dtype)))
    given_upstream = [u.copy() for u in upstream]
    if through:
        to_lib = lib.from_numpy if lib is minigrad else lambda u: torch.from_numpy(np.array(u, order="C"))
        lib.autograd.backward(through, [to_lib(u) for u in upstream], create_graph=create_graph)
    if lib is minigrad:
        for a, b in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(a, b, err_msg="the op changed its input")
        for a, b in zip(upstream, given_upstream, strict=True):
            np.testing.assert_array_equal(a, b, err_msg="the walk changed the upstream gradient")
        _own_memory(leaves, [*arrays, *upstream, *[y._array for y in outs]])
    grads = [None if x.grad is None else np.array(x.grad.detach().numpy()) for x in leaves]
    return Run(values, [dtype_name(y) for y in outs], grads)


def known_views(x: Any, outs: Sequence[Any]) -> None:
    """A result that shares an argument's memory shares its version: the graph sees a change in place of either."""
    for y in outs:
        if y._version is not x._version and np.may_share_memory(y._array, x._array):
            assert not np.shares_memory(y._array, x._array), "a result shares an argument's memory unknown to the graph"


def _own_memory(leaves: Sequence[Any], others: Sequence[Array]) -> None:
    held = [x.grad._array for x in leaves if x.grad is not None]
    for i, g in enumerate(held):
        assert g.flags.c_contiguous
        for other in [*held[:i], *others]:
            assert not np.may_share_memory(g, other), "a gradient shares its memory"


def assert_same(got: Run, want: Run, rtol: float, atol: float, what: str = "") -> None:
    assert got.dtypes == want.dtypes
    for i, (a, b) in enumerate(zip(got.values, want.values, strict=True)):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"{what} output {i}")
    for i, (a, b) in enumerate(zip(got.grads, want.grads, strict=True)):
        if a is None or b is None:  # an input that does not matter has no gradient, or zeros
            assert not any(x is not None and x.any() for x in (a, b))
            continue
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"{what} gradient of input {i}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """PyTorch warns where minigrad has nothing to say (the variance of one element, legacy spellings)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def agree(
    call: Callable[..., Any],
    *inputs: Input,
    dtype: str = "float64",
    seed: int = 0,
    rtol: float = 1e-10,
    atol: float = 1e-10,
) -> None:
    """One-off comparison with PyTorch, for shapes that hypothesis draws."""
    case = Case("", call, inputs)
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(i.draw(rng, i.shape)) for i in inputs]
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    grad = case.wants_grad()
    with quiet():
        want = evaluate(torch, call, arrays, grad)
    assert_same(evaluate(minigrad, call, arrays, grad), want, rtol, atol)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "fortran": lambda a: np.array(a, order="F"),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "backwards": lambda a: np.flip(np.flip(a).copy()) if a.ndim else a,
    "inside a larger array": lambda a: np.pad(a, 1)[(..., *[slice(1, -1)] * a.ndim)],
}


class OpSuite:
    """The checks that every line of ``cases`` goes through."""

    cases: ClassVar[Sequence[Case]] = ()

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_values_and_gradients_are_pytorchs(self, case: Case, dtype: str) -> None:
        arrays, grad = case.arrays(dtype), case.wants_grad()
        with quiet():
            want = evaluate(torch, case.reference or case.call, arrays, grad)
        got = evaluate(minigrad, case.call, arrays, grad)
        assert_same(got, want, *((1e-10, 1e-10) if dtype == "float64" else (case.rtol, case.atol)))

    def test_memory_layout_changes_nothing(self, case: Case) -> None:
        for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
            arrays, grad = case.arrays(dtype), case.wants_grad()
            want = evaluate(minigrad, case.call, arrays, grad)
            for name, relay in LAYOUTS.items():
                moved = [relay(a) for a in arrays]
                got = evaluate(minigrad, case.call, moved, grad, relay)
                assert_same(got, want, tolerance, max(tolerance, case.atol * (dtype == "float32")), name)

    def test_sizes_of_zero_do_what_pytorch_does(self, case: Case) -> None:
        for size in sorted({n for i in case.inputs for n in i.shape}) if case.empty else ():
            emptied = [replace(i, shape=tuple(0 if n == size else n for n in i.shape)) for i in case.inputs]
            try:
                arrays, grad = case.arrays(inputs=emptied), case.wants_grad()
            except ValueError:
                continue  # numbers that were given, not drawn
            if [a.shape for a in arrays] != [i.shape for i in emptied]:
                continue
            try:
                with quiet():
                    want = evaluate(torch, case.reference or case.call, arrays, grad)
            except (RuntimeError, IndexError, ValueError, TypeError):
                with pytest.raises((RuntimeError, IndexError, ValueError, TypeError)):
                    evaluate(minigrad, case.call, arrays, grad)
            else:
                assert_same(evaluate(minigrad, case.call, arrays, grad), want, 1e-10, 1e-10, f"sizes {size} set to 0:")

    def test_gradients_are_slopes(self, case: Case) -> None:
        arrays, wanted = case.arrays(), case.wants_grad()
        places = [i for i, w in enumerate(wanted) if w]
        if not case.smooth or not places:
            return
        # All inputs together, then each alone: a rule takes other ways where an operand is a constant.
        for chosen in [places, *([i] for i in places if len(places) > 1)]:
            leaves = tensors_of(minigrad, arrays, [i in chosen for i in range(len(arrays))])

            def differentiable(*xs: Any, leaves: Any = leaves, chosen: Any = chosen) -> Any:
                fed = [xs[chosen.index(i)] if i in chosen else t for i, t in enumerate(leaves)]
                return tuple(y for y in flat(case.call(minigrad, *fed)) if y.requires_grad)

            checked = tuple(leaves[i] for i in chosen)
            if differentiable(*checked):
                assert gradcheck(differentiable, checked)
                assert not case.second or gradgradcheck(differentiable, checked)

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_a_recorded_walk_finds_the_same_gradients(self, case: Case, dtype: str) -> None:
        """``create_graph=True`` hands a rule Tensors: where it goes another way for them, the numbers are the same.

        In float32 this rule follows a kernel's forward, and the plain gradients are that kernel's.
        """
        if not case.second:
            return
        tolerance = (1e-12, 1e-12) if dtype == "float64" else (max(case.rtol, 2e-5), max(case.atol, 2e-6))
        for inputs in (case.inputs, case.large):
            if inputs is not None:
                arrays, grad = case.arrays(dtype, inputs), case.wants_grad(inputs)
                plain = evaluate(minigrad, case.call, arrays, grad)
                recorded = evaluate(minigrad, case.call, arrays, grad, create_graph=True)
                assert_same(recorded, plain, *tolerance)

    def test_kernels_compute_what_the_textbook_does(self, large_case: Case) -> None:
        case = large_case
        arrays, grad = case.arrays("float32", case.large), case.wants_grad(case.large)
        fast = evaluate(minigrad, case.call, arrays, grad)
        with kernels.disabled():
            textbook = evaluate(minigrad, case.call, arrays, grad)
        assert_same(fast, textbook, max(case.rtol, 2e-6), case.atol)
