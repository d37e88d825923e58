"""Gradients checked against differences: does a rule say what its function does?

For a function f and a random direction v, (f(x + h v) − f(x − h v)) / 2h is the slope along v up to O(h²). The rule
must give the same number as its gradient times v. One direction tests all elements at once; where it fails, each
element is tried alone, and the report shows the worst one with its error at several step sizes: an error that shrinks
with h and then grows is rounding, one that stays is a wrong rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..devices import CPU, move
from . import engine
from .modes import enable_grad
from .variable import Variable, namespace, wrap


class GradcheckError(RuntimeError):
    """A rule that disagrees with differences; the message is the report."""


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
    rng = np.random.default_rng(seed)
    try:
        _check(func, args, eps, atol, rtol, nondet_tol, rng)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


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
        return tuple(g for g in found if g is not None and g._requires_grad)

    return gradcheck(
        gradients, (*args, *upstream), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, seed=seed
    )


def _outputs(func: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    with enable_grad():
        out = func(*args)
    return list(out) if isinstance(out, (tuple, list)) else [out]


def _check(
    func: Callable[..., Any], args: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet: float, rng: Any
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
    outputs = _outputs(func, args)
    again = _outputs(func, args)
    for k, (a, b) in enumerate(zip(outputs, again, strict=True)):
        gap = float(abs(a._array - b._array).max()) if a._array.size else 0.0
        if not gap <= nondet:
            raise GradcheckError(
                f"gradcheck: output {k} changed by {gap:g} between two calls with the same input; a function that "
                "draws random numbers cannot be checked (pass it a fixed mask or seed)"
            )
    for k, y in enumerate(outputs):
        if not y._requires_grad:
            continue
        upstream = _draw(rng, y)
        found = engine.grad(
            y, [args[i] for i in checked], wrap(upstream), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for i, g in zip(checked, found, strict=True):
            direction = _draw(rng, args[i])
            analytic = float((g._array * direction).sum())
            numeric = _slope(func, args, i, direction, k, upstream, eps)
            # One number stands for all elements: a wrong rule moves it by about its own error's size.
            if abs(analytic - numeric) <= atol + rtol * 0.1 * abs(numeric) and np.isfinite(analytic):
                continue
            _element_by_element(func, args, i, k, upstream, g._array, eps, atol, rtol)


def _slope(
    func: Callable[..., Any], args: tuple[Any, ...], i: int, direction: Any, k: int, upstream: Any, h: float
) -> float:
    """(L(x + h v) − L(x − h v)) / 2h for L = Σ upstream · output k."""
    values = []
    for sign in (1.0, -1.0):
        moved = wrap(args[i]._array + sign * h * direction)
        moved._requires_grad = True  # a function may call autograd itself
        out = _outputs(func, [*args[:i], moved, *args[i + 1 :]])[k]
        values.append(out._array)
    return float((upstream * ((values[0] - values[1]) / (2.0 * h))).sum())


def _element_by_element(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    i: int,
    k: int,
    upstream: Any,
    analytic: Any,
    eps: float,
    atol: float,
    rtol: float,
) -> None:
    """Try each element alone, and raise with a report on the worst one if any fails."""
    analytic = move(analytic, CPU)
    numeric = np.zeros_like(analytic)
    for place in np.ndindex(*analytic.shape):
        numeric[place] = _slope(func, args, i, _unit(args[i], place), k, upstream, eps)
    excess = np.abs(analytic - numeric) - (atol + rtol * np.abs(numeric))
    excess = np.where(np.isfinite(excess), excess, np.inf)
    wrong = int((excess > 0).sum())
    if not wrong:
        return
    place = tuple(int(n) for n in np.unravel_index(int(np.argmax(excess)), excess.shape))
    a, n = float(analytic[place]), float(numeric[place])
    lines = [
        f"gradcheck: the gradient of output {k} with respect to input {i} is wrong in {wrong} of {analytic.size} "
        "elements.",
        f"  worst element: index {place}",
        f"    analytic (the backward rule)      {a: .10g}",
        f"    numeric  (central differences)    {n: .10g}",
        f"    ratio analytic / numeric          {a / n if n else float('nan'): .6g}",
        "  its error against the step size (rounding shrinks, a wrong rule stays):",
    ]
    for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        slope = _slope(func, args, i, _unit(args[i], place), k, upstream, h)
        lines.append(f"    h = {h:.0e}   numeric {slope: .10g}   error {abs(a - slope):.3e}")
    lines.append(f"  inputs have shapes {[tuple(x._array.shape) for x in args if isinstance(x, Variable)]}")
    raise GradcheckError("\n".join(lines))


def _draw(rng: Any, like: Any) -> Any:
    """A random direction with the shape of a tensor, on its device."""
    return namespace(like._array).asarray(rng.standard_normal(like._array.shape))


def _unit(like: Any, place: tuple[int, ...]) -> Any:
    e = namespace(like._array).zeros(like._array.shape)
    e[place] = 1.0
    return e
