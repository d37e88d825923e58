"""Programs of ops, views and changes in place, drawn at random and run in minigrad and PyTorch step by step.

After every step all values, ``requires_grad`` and ``is_leaf`` must agree, after every walk back all gradients, and what
PyTorch refuses and minigrad does not must be one of the differences on purpose (docs/porting.md): those end the
program. minigrad refuses nothing that PyTorch takes.
"""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from op_suite import quiet, torch

import minigrad

LIBS = (minigrad, torch)
REFUSALS = (RuntimeError, ValueError, IndexError, TypeError)

# f(lib, x, other, n): ``other`` is a second tensor, ``n`` a small number. None: does not fit this shape.
VIEWS: dict[str, Callable[..., Any]] = {
    "row": lambda lib, x, o, n: x[n % x.shape[0]] if x.ndim and x.shape[0] else None,
    "last column": lambda lib, x, o, n: x[..., -1] if x.ndim and x.shape[-1] else None,
    "tail": lambda lib, x, o, n: x[1:] if x.ndim else None,
    "every second": lambda lib, x, o, n: x[..., ::2] if x.ndim else None,
    "new axis": lambda lib, x, o, n: x[None] if x.ndim < 4 else None,
    "the same": lambda lib, x, o, n: x[...],
    "by a 0-d index": lambda lib, x, o, n: x[lib.tensor(0)] if x.ndim and x.shape[0] else None,
    "transpose": lambda lib, x, o, n: x.transpose(0, -1) if x.ndim else None,
    "T": lambda lib, x, o, n: x.t() if x.ndim == 2 else None,
    "movedim": lambda lib, x, o, n: x.movedim(0, -1) if x.ndim > 1 else None,
    "flat": lambda lib, x, o, n: x.view(-1) if x.is_contiguous() else None,
    "view as itself": lambda lib, x, o, n: x.view(x.shape),
    "flatten": lambda lib, x, o, n: x.flatten(0) if x.is_contiguous() else None,
    "unflatten": lambda lib, x, o, n: x.unflatten(0, (2, -1)) if x.ndim in (1, 2) and x.shape[0] % 2 == 0 and x.shape[0] else None,
    "squeeze": lambda lib, x, o, n: x.squeeze(),
    "unsqueeze": lambda lib, x, o, n: x.unsqueeze(-1) if x.ndim < 4 else None,
    "expand": lambda lib, x, o, n: x.expand(2, *x.shape) if x.ndim < 4 else None,
    "diagonal": lambda lib, x, o, n: x.diagonal(n % 2) if x.ndim == 2 else None,
    "last diagonal": lambda lib, x, o, n: x.diagonal(0, -2, -1) if x.ndim > 2 else None,
    "einsum": lambda lib, x, o, n: lib.einsum("ij->ji", x) if x.ndim == 2 else None,
    "einsum diagonal": lambda lib, x, o, n: lib.einsum("ii->i", x) if x.ndim == 2 and x.shape[0] == x.shape[1] else None,
    "detach": lambda lib, x, o, n: x.detach(),
    "contiguous": lambda lib, x, o, n: x.contiguous(),
    "Tensor": lambda lib, x, o, n: x.view_as(x),
}  # fmt: skip
SEVERAL: dict[str, Callable[..., Any]] = {  # PyTorch lets none of these change in place
    "unbind": lambda lib, x, o, n: x.unbind(0) if x.ndim and x.shape[0] else None,
    "split": lambda lib, x, o, n: x.split(1 + n % 2) if x.ndim and x.shape[0] else None,
    "chunk": lambda lib, x, o, n: x.chunk(2, -1) if x.ndim and x.shape[-1] else None,
}
NEW: dict[str, Callable[..., Any]] = {
    "times": lambda lib, x, o, n: x * (n - 1.5),
    "plus": lambda lib, x, o, n: x + n,
    "square": lambda lib, x, o, n: x * x,
    "sin": lambda lib, x, o, n: x.sin(),
    "bell": lambda lib, x, o, n: (-(x * x)).exp(),
    "relu": lambda lib, x, o, n: x.relu(),
    "sigmoid": lambda lib, x, o, n: x.sigmoid(),
    "tanh": lambda lib, x, o, n: x.tanh(),
    "clamp": lambda lib, x, o, n: x.clamp(-0.7, 0.9),
    "clone": lambda lib, x, o, n: x.clone(),
    "sum": lambda lib, x, o, n: x.sum(),
    "sum of an axis": lambda lib, x, o, n: x.sum(0, keepdim=True) if x.ndim else None,
    "mean": lambda lib, x, o, n: x.mean(-1) if x.ndim and x.shape[-1] else None,
    "cumsum": lambda lib, x, o, n: x.cumsum(0) if x.ndim else None,
    "softmax": lambda lib, x, o, n: x.softmax(-1) if x.ndim and x.shape[-1] else None,
    "sort": lambda lib, x, o, n: x.sort()[0] * 1.0,
    "flip": lambda lib, x, o, n: x.flip(0) if x.ndim else None,
    "rows by list": lambda lib, x, o, n: x[[0, -1]] if x.ndim and x.shape[0] else None,
    "by mask": lambda lib, x, o, n: x[x > 0.1],
    "masked": lambda lib, x, o, n: x.masked_fill(x > 0.3, n),
    "plus other": lambda lib, x, o, n: x + o if fits(x, o) else None,
    "minus itself": lambda lib, x, o, n: x - x * 0.5,
    "times other": lambda lib, x, o, n: x * o if fits(x, o) else None,
    "where": lambda lib, x, o, n: lib.where(x > 0, x, o) if fits(x, o) else None,
    "cat": lambda lib, x, o, n: lib.cat([x, x]) if x.ndim else None,
    "stack": lambda lib, x, o, n: lib.stack([x, o]) if x.shape == o.shape and x.ndim < 4 else None,
    "product": lambda lib, x, o, n: x @ x.t() if x.ndim == 2 else None,
    "repeat": lambda lib, x, o, n: x.repeat(2, *(1,) * (x.ndim - 1)) if x.ndim else None,
    "Function": lambda lib, x, o, n: function(lib)(x),
    "detached factor": lambda lib, x, o, n: x * x.detach(),
}
CHANGES: dict[str, Callable[..., Any]] = {
    "add_": lambda lib, x, o, n: x.add_(n - 0.5),
    "mul_": lambda lib, x, o, n: x.mul_(0.5 * n - 0.8),
    "add_ other": lambda lib, x, o, n: x.add_(o, alpha=0.5) if into(o, x) else None,
    "mul_ other": lambda lib, x, o, n: x.mul_(o) if into(o, x) else None,
    "div_": lambda lib, x, o, n: x.div_(o * o + 1) if into(o, x) else None,
    "sub_ itself": lambda lib, x, o, n: x.sub_(x * 0.25),
    "zero_": lambda lib, x, o, n: x.zero_(),
    "fill_": lambda lib, x, o, n: x.fill_(n * 0.3),
    "copy_": lambda lib, x, o, n: x.copy_(o) if into(o, x) and x.shape == o.shape else None,
    "copy_ another's sum": lambda lib, x, o, n: x.copy_(o.sum()),
    "square": lambda lib, x, o, n: x.pow_(2),
    "clamp_": lambda lib, x, o, n: x.clamp_(-0.8, 0.8),
    "relu_": lambda lib, x, o, n: x.relu_(),
    "tanh_": lambda lib, x, o, n: x.tanh_(),
    "neg_": lambda lib, x, o, n: x.neg_(),
    "masked_fill_": lambda lib, x, o, n: x.masked_fill_(x > 0.2, 0.1 * n),
    "x[...] = number": lambda lib, x, o, n: x.__setitem__(..., 0.3 * n),
    "x[0] = number": lambda lib, x, o, n: x.__setitem__(0, 0.7) if x.ndim and x.shape[0] else None,
    "x[0] = sum": lambda lib, x, o, n: x.__setitem__(0, o.sum()) if x.ndim and x.shape[0] else None,
    "x[0] *= 2": lambda lib, x, o, n: x[0].mul_(2.0) if x.ndim and x.shape[0] else None,
    "x[[0]] = ": lambda lib, x, o, n: x.__setitem__([0], o.mean()) if x.ndim and x.shape[0] and o.numel() else None,
    "x[mask] = 0": lambda lib, x, o, n: x.__setitem__(x > 0, 0.0),
    "index_fill_": lambda lib, x, o, n: x.index_fill_(0, lib.tensor([0]), 0.2) if x.ndim and x.shape[0] else None,
    "detach_": lambda lib, x, o, n: x.detach_() if x.grad_fn is None else None,
    "requires_grad_": lambda lib, x, o, n: x.requires_grad_() if x.is_leaf else None,
    "no requires_grad_": lambda lib, x, o, n: x.requires_grad_(False) if x.is_leaf else None,
    "retain_grad": lambda lib, x, o, n: x.retain_grad() if x.requires_grad else None,
    "hook that scales": lambda lib, x, o, n: x.register_hook(lambda d: d * 1.5) if x.requires_grad else None,
    "hook that looks": lambda lib, x, o, n: x.register_hook(lambda d: None) if x.requires_grad else None,
}
KINDS = {"view": VIEWS, "several": SEVERAL, "new": NEW, "change": CHANGES}


def fits(x: Any, o: Any) -> bool:
    try:
        return len(np.broadcast_shapes(tuple(x.shape), tuple(o.shape))) <= 4
    except ValueError:
        return False


def into(o: Any, x: Any) -> bool:
    try:
        return np.broadcast_shapes(tuple(x.shape), tuple(o.shape)) == tuple(x.shape)
    except ValueError:
        return False


_functions: dict[Any, Any] = {}


def function(lib: Any) -> Any:
    """y = x³ as a user's op."""
    if lib not in _functions:

        class Cube(lib.autograd.Function):  # type: ignore[name-defined,misc]
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x * x

            @staticmethod
            def backward(ctx, d):
                (x,) = ctx.saved_tensors
                return d * 3 * x * x

        _functions[lib] = Cube.apply
    return _functions[lib]


class End(Exception):
    """The program ends here: what follows means nothing, or not the same."""


class Pair:
    """One tensor of the program, in both libraries."""

    def __init__(self, ours: Any, theirs: Any, several: bool = False) -> None:
        self.both = (ours, theirs)
        self.several = several  # a view of several that one op gave, or a view of such a view


class Program:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.pairs: list[Pair] = []
        for shape, grad in (((3, 4), True), ((4,), True), ((3, 3), False), ((), True), ((2, 3, 2), False)):
            a = self.rng.uniform(-1, 1, shape)
            self.pairs.append(Pair(*[lib.tensor(a, dtype=lib.float64, requires_grad=grad) for lib in LIBS]))
        self.log: list[str] = []

    def pick(self, i: int) -> Pair:
        return self.pairs[i % len(self.pairs)]

    def both(self, call: Callable[[Any, int], Any]) -> list[Any]:
        """The results of a step in both libraries, or its refusals."""
        results: list[Any] = []
        for j, lib in enumerate(LIBS):
            try:
                results.append(call(lib, j))
            except REFUSALS as error:
                results.append(error)
        return results

    def step(self, kind: str, name: str, i: int, j: int, n: int, without: bool) -> None:
        x, o = self.pick(i), self.pick(j)
        if x.both[0].is_contiguous() != x.both[1].is_contiguous():
            return  # PyTorch lays some results out otherwise
        if "detach_" in name or "requires_grad_" in name:
            if any(shares(x, p) for p in self.pairs if p is not x):
                return  # what the views of a leaf think then is nobody's business
        elif name in ("retain_grad", "hook that scales", "hook that looks"):
            if any(shares(x, p) for p in self.pairs if p is not x):
                return  # PyTorch forgets the hooks of a view when it or its base changes in place
        elif kind == "change" and x is not o and shares(x, o):
            return  # PyTorch reads what it has written already
        if without and kind in ("view", "several") and x.both[0].requires_grad:
            return  # a view made under no_grad() of what requires a gradient: PyTorch's claims to require one too
        self.log.append(f"{kind} {name}({i % len(self.pairs)}, {j % len(self.pairs)}, {n}) {'no_grad' * without}")

        def call(lib: Any, k: int) -> Any:
            with lib.no_grad() if without else contextlib.nullcontext():
                return KINDS[kind][name](lib, x.both[k], o.both[k], n)

        ours, theirs = self.both(call)
        if isinstance(theirs, Exception):
            if not isinstance(ours, Exception):
                self.differs(name, x, o, theirs)
            if kind != "change":
                raise End
        elif isinstance(ours, Exception):
            if "elements of an expanded tensor" in str(ours):
                raise End  # PyTorch fills some
            raise AssertionError("refused by minigrad alone") from ours
        elif kind in ("view", "new") and theirs is not None:
            several = kind == "view" and x.several and name != "detach"
            self.pairs.append(Pair(ours, theirs, several))
        elif kind == "several" and theirs is not None:
            self.pairs += [Pair(a, b, True) for a, b in zip(ours, theirs, strict=True)][:3]
        self.compare()

    def differs(self, name: str, x: Pair, o: Pair, error: Exception) -> None:
        """PyTorch has refused, minigrad has not."""
        if x.several or "multiple views" in str(error) or "created in no_grad mode" in str(error):
            raise End
        raise AssertionError("refused by PyTorch alone") from error

    def compare(self) -> None:
        for k, pair in enumerate(self.pairs):
            ours, theirs = pair.both
            np.testing.assert_allclose(values(ours), values(theirs), rtol=1e-9, atol=1e-12, err_msg=f"tensor {k}")
            try:
                wanted = (theirs.requires_grad, theirs.is_leaf)
            except RuntimeError:  # a view of several, or made under no_grad(), whose base has changed
                raise End from None
            assert (ours.requires_grad, ours.is_leaf) == wanted, f"requires_grad, is_leaf of tensor {k}"
            if np.abs(values(theirs)).max(initial=0.0) > 1e6:
                raise End

    def walk(self, chosen: list[int], retain: bool, create: bool) -> None:
        """A weighted sum of some tensors walked back."""
        self.log.append(f"walk {[i % len(self.pairs) for i in chosen]} retain {retain} create {create}")
        weights = [self.rng.standard_normal(tuple(self.pick(i).both[0].shape)) for i in chosen]

        def call(lib: Any, k: int) -> Any:
            total = sum((self.pick(i).both[k] * lib.tensor(w)).sum() for i, w in zip(chosen, weights, strict=True))
            if total.requires_grad:
                total.backward(retain_graph=retain, create_graph=create)

        ours, theirs = self.both(call)
        if isinstance(theirs, Exception):
            # PyTorch's rules save more than minigrad's, so it refuses more; both have half a walk behind them.
            raise End
        if isinstance(ours, Exception):
            if "already walked" in str(ours):  # a product with a number counts as one that saved something
                raise End
            raise AssertionError("refused by minigrad alone") from ours
        self.gradients()

    def gradients(self) -> None:
        for k, pair in enumerate(self.pairs):
            with quiet():
                ours, theirs = (x.grad for x in pair.both)
            assert (ours is None) == (theirs is None), f"gradient of tensor {k}"
            if ours is not None:
                np.testing.assert_allclose(
                    values(ours), values(theirs), rtol=1e-8, atol=1e-10, err_msg=f"gradient of tensor {k}"
                )

    def set_gradient(self, i: int, n: int) -> None:
        pair = self.pick(i)
        shape = tuple(pair.both[0].shape)
        if not pair.both[0].is_leaf:
            return
        self.log.append(f"set gradient {i % len(self.pairs)} {n}")
        a = self.rng.standard_normal((2, *shape))
        for lib, x in zip(LIBS, pair.both, strict=True):
            if n == 0:
                x.grad = None
            elif n == 1:
                x.grad = lib.tensor(a)[1]
            elif n == 2:
                x.grad = lib.tensor(a[0])
            elif x.grad is not None:
                x.grad.zero_()


def shares(x: Pair, o: Pair) -> bool:
    return x.both[0]._version is o.both[0]._version


def values(t: Any) -> Any:
    return t.detach().numpy()


def run(seed: int, steps: list[Any]) -> Program:
    program = Program(seed)
    try:
        with quiet():
            for step in steps:
                getattr(program, step[0])(*step[1:])
            program.walk(list(range(0, len(program.pairs), 2)), True, False)
            program.walk([-1, -2], False, False)
    except End:
        pass
    except AssertionError as error:
        raise AssertionError("\n".join([*program.log, str(error)])) from error
    return program


def steps_of(kind: str) -> Any:
    return st.tuples(
        st.just("step"), st.just(kind), st.sampled_from(sorted(KINDS[kind])), *[st.integers(0, 11)] * 2,
        st.integers(0, 3), st.integers(0, 9).map(lambda k: k == 9),
    )  # fmt: skip


step = st.one_of(
    steps_of("view"),
    steps_of("new"),
    steps_of("change"),
    steps_of("change"),
    steps_of("several"),
    st.tuples(st.just("walk"), st.lists(st.integers(0, 11), min_size=1, max_size=2), *[st.booleans()] * 2),
    st.tuples(st.just("set_gradient"), st.integers(0, 11), st.integers(0, 3)),
)


@settings(max_examples=150)
@given(st.integers(0, 1000), st.lists(step, min_size=3, max_size=12))
def test_any_chain(seed: int, steps: list[Any]) -> None:
    run(seed, steps)
