"""Gradients checked against differences: does a rule say what its function does?

For a function f and a random direction v, (f(x + h v) − f(x − h v)) / 2h is the slope along v up to O(h²). The rule
must give the same number as its gradient times v. One direction tests all elements at once; where it fails, each
element is tried alone, and the report shows the worst one with its error at several step sizes: an error that shrinks
with h and then grows is rounding, one that stays is a wrong rule. Where the slopes to the left and to the right differ
however small the step, the input stands on a kink, which has no derivative that a rule could miss.

Differences see only the end of the chain, so the engine holds each rule to its contract meanwhile: a gradient of its
argument's shape, and what it was handed left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..devices import CPU, move
from ..errors import RuleError
from . import engine
from .careful import alike
from .modes import enable_grad, watched_rules
from .variable import Variable, namespace, wrap


class GradcheckError(RuntimeError):
    """A rule that disagrees with differences or breaks its contract; the message is the report."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    seed: int = 0,
) -> bool:
    """Whether the backward rules of ``func`` agree with central differences.

    Args:
        func: a function of tensors that returns a tensor or a tuple of them.
        inputs: a tensor or a tuple; those that require a gradient are checked and should be float64.
        eps: the step h of the differences.
        atol, rtol: an element passes if |analytic − numeric| ≤ atol + rtol · |numeric|.
        raise_exception: raise :class:`GradcheckError` with the report, or return False.
        nondet_tol: how far two evaluations may differ; a function that draws random numbers cannot be checked.
        seed: of the random directions and upstream gradients.

    Source: torch.autograd.gradcheck.
    """
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    return _agrees(raise_exception, False, func, args, eps, atol, rtol, nondet_tol, np.random.default_rng(seed))


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the *second* derivatives agree: :func:`gradcheck` of the function that returns the gradients of ``func``,
    with respect to its inputs and to the upstream gradients."""
    args = (inputs,) if isinstance(inputs, Variable) else tuple(inputs)
    rng = np.random.default_rng(seed + 1)
    outs = [y for y in _outputs(func, args) if y._requires_grad]
    if grad_outputs is None:
        upstream = [wrap(_draw(rng, y)) for y in outs]
    else:
        upstream = [grad_outputs] if isinstance(grad_outputs, Variable) else list(grad_outputs)
    for g in upstream:
        g._requires_grad = True

    def gradients(*all_args: Any) -> Any:
        xs, gs = all_args[: len(args)], all_args[len(args) :]
        ys = [y for y in _outputs(func, xs) if y._requires_grad]
        wanted = [x for x in xs if isinstance(x, Variable) and x._requires_grad]
        found = engine.grad(ys, wanted, list(gs), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    rng = np.random.default_rng(seed)
    return _agrees(raise_exception, True, gradients, (*args, *upstream), eps, atol, rtol, 0.0, rng)


def _agrees(raise_exception: bool, may_be_constant: bool, *check: Any) -> bool:
    """Whether :func:`_check` finds no fault. (A gradient may be constant, as that of sign: none leads from it to x.)"""
    try:
        with watched_rules():
            _check(may_be_constant, *check)
    except (GradcheckError, RuleError) as error:
        if not raise_exception:
            return False
        if isinstance(error, RuleError):
            raise GradcheckError(f"gradcheck: {error}") from error
        raise
    return True


def _outputs(func: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    with enable_grad():
        out = func(*args)
    outputs = list(out) if isinstance(out, (tuple, list)) else [out]
    for y in outputs:
        if not isinstance(y, Variable):
            raise TypeError(f"gradcheck: func must return a Tensor or a tuple of them, got {type(y).__name__}")
    return outputs


def _check(
    may_be_constant: bool,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    eps: float,
    atol: float,
    rtol: float,
    nondet: float,
    rng: Any,
) -> None:
    checked = [i for i, x in enumerate(args) if isinstance(x, Variable) and x._requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient")
    for i in checked:
        if args[i]._array.dtype != np.float64:
            raise ValueError(
                f"gradcheck: input {i} is {args[i]._array.dtype}; differences need float64 (steps of {eps:g} vanish in "
                "float32)"
            )
    values = [x._array.copy() if isinstance(x, Variable) else None for x in args]
    outputs = _outputs(func, args)
    _refuse_change(args, values, "func")
    if not may_be_constant and not any(y._requires_grad for y in outputs):
        raise GradcheckError(
            "gradcheck: no output requires a gradient, so there is nothing to check: func detaches what it computes, "
            "computes it under no_grad() or outside minigrad, or does not use its inputs"
        )
    for k, (a, b) in enumerate(zip(outputs, _outputs(func, args), strict=True)):
        gap = _gap(a._array, b._array)
        if not gap <= nondet:
            raise GradcheckError(
                f"gradcheck: output {k} changed by {gap:g} between two calls with the same input; a function that "
                "draws random numbers cannot be checked (pass it a fixed mask or seed)"
            )
        if not namespace(a._array).isfinite(a._array).all():
            raise GradcheckError(
                f"gradcheck: output {k} holds a NaN or an infinity, where differences say nothing; choose other inputs"
            )
    for k, y in enumerate(outputs):
        if y._array.dtype.kind != "f":
            continue
        upstream = _draw(rng, y)
        differences = _Differences(func, args, k, upstream, eps, atol, rtol)
        found: Sequence[Any] = [None] * len(checked)
        if y._requires_grad:
            found = engine.grad(y, [args[i] for i in checked], wrap(upstream), retain_graph=True, allow_unused=True)
            _refuse_change(args, values, "a backward rule")
        for i, g in zip(checked, found, strict=True):
            if g is None:
                differences.expect_constant(i, _draw(rng, args[i]))
            else:
                differences.expect(i, g._array, _draw(rng, args[i]))


def _gap(a: Any, b: Any) -> float:
    """How far two arrays differ; NaN beside NaN is no difference."""
    if a.shape != b.shape:
        return float("inf")
    if alike(a, b):
        return 0.0
    return float(abs(a.astype(np.float64) - b).max())


def _refuse_change(args: tuple[Any, ...], values: list[Any], who: str) -> None:
    for i, (x, value) in enumerate(zip(args, values, strict=True)):
        if value is not None and _gap(x._array, value):
            raise GradcheckError(f"gradcheck: {who} changed input {i} in place; it may only compute new tensors")


class _Differences:
    """Slopes of L = Σ upstream · output k, seen from outside."""

    def __init__(
        self, func: Callable[..., Any], args: Any, k: int, upstream: Any, eps: float, atol: float, rtol: float
    ) -> None:
        self.func, self.args, self.k, self.upstream = func, args, k, upstream
        self.eps, self.atol, self.rtol = eps, atol, rtol

    def value(self, i: int, step: Any) -> Any:
        """The terms of L with input i moved by ``step``."""
        moved = wrap(self.args[i]._array + step)
        moved._requires_grad = True  # a function may call autograd itself
        return self.upstream * _outputs(self.func, [*self.args[:i], moved, *self.args[i + 1 :]])[self.k]._array

    def slope(self, i: int, direction: Any, h: float) -> float:
        """(L(x + h v) − L(x − h v)) / 2h."""
        return float(((self.value(i, h * direction) - self.value(i, -h * direction)) / (2.0 * h)).sum())

    def sides(self, i: int, direction: Any, h: float) -> tuple[float, float]:
        """The slopes to the left, (L(x) − L(x − h v)) / h, and to the right."""
        behind, here, ahead = (self.value(i, step * direction) for step in (-h, 0.0, h))
        return float(((here - behind) / h).sum()), float(((ahead - here) / h).sum())

    def expect_constant(self, i: int, direction: Any) -> None:
        """Raise if an output from which no gradient leads to input i changes with it."""
        slope = self.slope(i, direction, self.eps)
        if not abs(slope) <= self.atol:
            raise GradcheckError(
                f"gradcheck: output {self.k} changes with input {i} (slope {slope:.6g} along a random direction), yet "
                "no gradient leads from it there: func detaches what it computes, or computes it under no_grad() or "
                "outside minigrad"
            )

    def expect(self, i: int, gradient: Any, direction: Any) -> None:
        """Raise unless this is the gradient with respect to input i."""
        analytic, numeric = float((gradient * direction).sum()), self.slope(i, direction, self.eps)
        # One number stands for all elements: a wrong rule moves it by about its own error's size.
        if not abs(analytic - numeric) <= self.atol + self.rtol * 0.1 * abs(numeric):
            self.element_by_element(i, move(gradient, CPU))

    def element_by_element(self, i: int, analytic: Any) -> None:
        """Try each element alone, and raise with a report on the worst one if any fails."""
        numeric = np.zeros_like(analytic)
        for place in np.ndindex(*analytic.shape):
            numeric[place] = self.slope(i, _unit(self.args[i], place), self.eps)
        excess = np.abs(analytic - numeric) - (self.atol + self.rtol * np.abs(numeric))
        excess = np.where(np.isfinite(excess), excess, np.inf)
        kinks = {}
        for place in np.ndindex(*analytic.shape):
            if excess[place] > 0 and (slopes := self.slopes_of_a_kink(i, place, analytic[place])):
                kinks[place], excess[place] = slopes, 0.0
        if (excess > 0).any():
            raise GradcheckError(self.report(i, analytic, numeric, excess))
        for place, (left, right) in kinks.items():
            raise GradcheckError(
                f"gradcheck: input {i} stands on a kink of output {self.k} in {len(kinks)} of {analytic.size} "
                f"elements. At index {place} the slope is {left:.6g} to the left and {right:.6g} to the right; "
                f"{analytic[place]:.6g}, which the backward rule gives, lies between them and may be right. Check away "
                "from the kink"
            )

    def slopes_of_a_kink(self, i: int, place: tuple[int, ...], analytic: Any) -> tuple[float, float] | None:
        """The slopes on either side if they differ, by as much over a shorter step, and the rule's lies between."""
        e = _unit(self.args[i], place)
        left, right = self.sides(i, e, self.eps)
        nearer_left, nearer_right = self.sides(i, e, self.eps / 4)
        slack = self.atol + self.rtol * max(abs(left), abs(right))
        is_kink = abs(right - left) > slack and abs(nearer_right - nearer_left) > 0.5 * abs(right - left)
        between = min(left, right) - slack <= analytic <= max(left, right) + slack
        return (left, right) if is_kink and between else None

    def report(self, i: int, analytic: Any, numeric: Any, excess: Any) -> str:
        place = tuple(int(n) for n in np.unravel_index(int(np.argmax(excess)), excess.shape))
        a, n = float(analytic[place]), float(numeric[place])
        lines = [
            f"gradcheck: the gradient of output {self.k} with respect to input {i} is wrong in "
            f"{int((excess > 0).sum())} of {analytic.size} elements.",
            f"  worst element: index {place}",
            f"    analytic (the backward rule)      {a: .10g}",
            f"    numeric  (central differences)    {n: .10g}",
            f"    ratio analytic / numeric          {a / n if n else float('nan'): .6g}",
            "  its error against the step size (rounding shrinks, a wrong rule stays):",
        ]
        for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
            slope = self.slope(i, _unit(self.args[i], place), h)
            lines.append(f"    h = {h:.0e}   numeric {slope: .10g}   error {abs(a - slope):.3e}")
        shapes = [tuple(x._array.shape) for x in self.args if isinstance(x, Variable)]
        return "\n".join([*lines, f"  inputs have shapes {shapes}"])


def _draw(rng: Any, like: Any) -> Any:
    """A random direction with the shape of a tensor, on its device."""
    return namespace(like._array).asarray(rng.standard_normal(like._array.shape))


def _unit(like: Any, place: tuple[int, ...]) -> Any:
    e = namespace(like._array).zeros(like._array.shape)
    e[place] = 1.0
    return e
