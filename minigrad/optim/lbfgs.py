"""L-BFGS: Newton's method with a curvature that is remembered from the last steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..autograd import enable_grad
from ..autograd.variable import namespace
from ..interrupts import HeldBack
from ..tensor import Tensor
from .optimizer import Optimizer, check_not_negative


class LBFGS(Optimizer):
    """Go along −H g, where H, the inverse of the second derivatives, is estimated from the last steps.

        sₖ = pₖ₊₁ − pₖ,   yₖ = gₖ₊₁ − gₖ,   ρₖ = 1 / (yₖ · sₖ)       of the last ``history_size`` steps
        H ← (1 − ρ s yᵀ) H (1 − ρ y sᵀ) + ρ s sᵀ                    from H = (y · s) / (y · y), oldest pair first
        p ← p − t H g,   t = lr, or by a line search

    Where from: a quadratic loss has y = (second derivatives) · s, so H should take y to s. Of all symmetric H that do,
    the update above is the one nearest to the last H. H itself is never formed: d = −H g follows from the pairs in two
    loops, newest to oldest, α = ρ s·q, q ← q − α y (from q = −g), then oldest to newest, r ← r + (α − ρ y·r) s.

    A step makes up to ``max_iter`` such moves, and calls the closure for each. With ``line_search_fn="strong_wolfe"`` t
    is searched for so that the loss falls enough and its slope along d is small: L(p + t d) ≤ L + 10⁻⁴ t g·d and
    \\|g(p + t d)·d\\| ≤ 0.9 \\|g·d\\|. After an error in the closure parameters and memory are as before the step.
    Source: Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 3.5, 3.6 and 7.4; PyTorch's
    ``torch.optim.LBFGS``.

    Args:
        params: parameters of one device, in one group.
        lr: t, or where the line search begins. (The first move of all is shortened to min(1, 1 / Σ|g|) · lr.)
        max_iter: moves in a step.
        max_eval: calls of the closure in a step (default: 1.25 · max_iter).
        tolerance_grad: stop where max |g| is no larger.
        tolerance_change: stop where a move, or the change of the loss, is smaller.
        history_size: how many pairs (s, y) are kept.
        line_search_fn: None or ``"strong_wolfe"``.

    Raises:
        ValueError: a setting out of its range, or more than one group.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative("LBFGS", lr=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}")
        if not history_size >= 1:
            raise ValueError(f"LBFGS: history_size must be at least 1, got {history_size!r}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: all parameters must be in one group, since H is of them all; pass one list")
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make up to ``max_iter`` moves.

        Args:
            closure: clears the gradients, computes the loss and its gradients, and returns the loss.

        Returns:
            The loss before the first move.
        """
        if closure is None:
            raise TypeError("LBFGS: step needs a closure, which it calls several times: optimizer.step(closure)")
        parameters = self.param_groups[0]["params"]
        before = [p._array.copy() for p in parameters]
        try:
            loss, state = self._moves(closure, parameters, dict(self.state.get(parameters[0]) or {}))
        except BaseException:
            with HeldBack():
                _put(parameters, before)
            raise
        self.state[parameters[0]] = state  # PyTorch's place for what belongs to them all
        self._step_count += 1
        return loss

    def _moves(
        self, closure: Callable[[], Any], parameters: list[Any], state: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        group = self.param_groups[0]
        lr, history, smallest = float(group["lr"]), group["history_size"], float(group["tolerance_change"])

        def evaluate() -> tuple[Any, Any]:
            with enable_grad():
                value = closure()
            return value, _gathered(parameters)

        first_loss, g = evaluate()
        loss, evaluations = float(first_loss), 1
        state["func_evals"], state["n_iter"] = state.get("func_evals", 0) + 1, state.get("n_iter", 0)
        if _largest(g) <= group["tolerance_grad"]:
            return first_loss, state
        ys, ss, rhos = ([*map(_array, state.get(key) or [])] for key in ("old_dirs", "old_stps", "ro"))
        d, g_before = _array(state.get("d")), _array(state.get("prev_flat_grad"))
        t, scale, loss_before = state.get("t"), state.get("H_diag", 1.0), state.get("prev_loss")

        for move in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                d = -g
            else:
                y, s = g - g_before, t * d
                ys_now, yy = float(y @ s), float(y @ y)
                if ys_now > 1e-10 and yy > 0:  # else the loss does not curve upwards here
                    ys, ss, rhos = ([*ys, y][-history:], [*ss, s][-history:], [*rhos, 1 / ys_now][-history:])
                    scale = ys_now / yy
                d = _direction(g, ys, ss, rhos, scale)
            g_before, loss_before = g, loss
            t = min(1.0, 1.0 / float(abs(g).sum())) * lr if state["n_iter"] == 1 else lr
            downhill = float(g @ d)
            if downhill > -smallest:
                break
            start = [p._array.copy() for p in parameters]
            used = 0
            if group["line_search_fn"] is not None:

                def at(t: float, d: Any = d, start: Any = start) -> Point:
                    _put(parameters, start, t, d)
                    value, slope = evaluate()
                    return Point(t, float(value), slope, float(slope @ d))

                origin = Point(0.0, loss, g, downhill)
                found, used = _strong_wolfe(at, origin, t, _largest(d), smallest, group["max_eval"] - evaluations)
                t, loss, g = found.t, found.loss, found.gradient
                _put(parameters, start, t, d)
            else:
                _put(parameters, start, t, d)
                if move != group["max_iter"]:
                    value, g = evaluate()
                    loss, used = float(value), 1
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or _largest(g) <= group["tolerance_grad"]
                or _largest(t * d) <= smallest
                or abs(loss - loss_before) < smallest
            ):
                break
        state.update(d=Tensor._wrap(d), t=t, old_dirs=[*map(Tensor._wrap, ys)], old_stps=[*map(Tensor._wrap, ss)])
        state.update(ro=rhos, H_diag=scale, prev_flat_grad=Tensor._wrap(g_before), prev_loss=loss_before)
        return first_loss, state

    def _fitted(self, key: str, value: Any, number: int, p: Tensor) -> Any:
        """What LBFGS remembers is of all parameters together: flat, or numbers, or lists of those."""
        if isinstance(value, (list, tuple)):
            return [self._fitted(key, v, number, p) for v in value]
        array = (
            value._array if isinstance(value, Tensor) else np.asarray(value) if hasattr(value, "__array__") else None
        )
        if array is None:
            return value
        if array.ndim == 0:
            return float(array)
        size = sum(q.numel() for q in self.param_groups[0]["params"])
        if array.shape != (size,):
            raise ValueError(
                f"LBFGS.load_state_dict: {key} has shape {array.shape}, the parameters hold {size} numbers"
            )
        return Tensor._wrap(array).to(p.device).to(_work_dtype(p._array.dtype)).clone()


class Point(NamedTuple):
    """A place on the line p + t d: how far, the loss there, its gradient, and its slope along the line."""

    t: float
    loss: float
    gradient: Any
    slope: float


def _direction(g: Any, ys: list[Any], ss: list[Any], rhos: list[float], scale: float) -> Any:
    """−H g, in two loops over the remembered pairs."""
    q, alphas = -g, []
    for y, s, rho in zip(reversed(ys), reversed(ss), reversed(rhos), strict=True):
        alphas.append(float(s @ q) * rho)
        q = q - alphas[-1] * y
    r = q * scale
    for y, s, rho, alpha in zip(ys, ss, rhos, reversed(alphas), strict=True):
        r = r + (alpha - float(y @ r) * rho) * s
    return r


def _strong_wolfe(
    at: Callable[[float], Point], origin: Point, t: float, size: float, smallest: float, most: int
) -> tuple[Point, int]:
    """A point that satisfies the strong Wolfe conditions, or the best after ``most`` tries; and the calls of ``at``.

    First the line is followed until such points lie between two of its points, then these come closer to each other.
    """

    def too_high(point: Point) -> bool:
        return point.loss > origin.loss + 1e-4 * point.t * origin.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -0.9 * origin.slope

    before, now, tries = origin, at(t), 0
    while tries < most:
        if too_high(now) or (tries > 1 and now.loss >= before.loss):
            ends = [before, now]
            break
        if flat(now):
            return now, tries + 1
        if now.slope >= 0:
            ends = [before, now]
            break
        t = _cubic_minimum(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now, tries = now, at(t), tries + 1
    else:
        ends = [origin, now]

    low, high = (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
    stuck = False
    while tries < most:
        left, right = sorted(point.t for point in ends)
        if (right - left) * size < smallest:
            break
        t = _cubic_minimum(ends[0], ends[1], left, right)
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        now, tries = at(t), tries + 1
        if too_high(now) or now.loss >= ends[low].loss:
            ends[high] = now
            low, high = (0, 1) if ends[0].loss <= ends[1].loss else (1, 0)
            continue
        if not flat(now) and now.slope * (ends[high].t - ends[low].t) >= 0:
            ends[high] = ends[low]
        ends[low] = now
        if flat(now):
            break
    return ends[low], tries + 1


def _cubic_minimum(a: Point, b: Point, lowest: float, highest: float) -> float:
    """Where the cubic through two points, with their slopes, is smallest; kept between two bounds.

    Source: Nocedal and Wright 2006, equation 3.59.
    """
    a, b = (a, b) if a.t <= b.t else (b, a)
    with np.errstate(all="ignore"):
        width = np.float64(b.t - a.t)
        middle = a.slope + b.slope - 3 * (b.loss - a.loss) / width
        square = middle**2 - a.slope * b.slope
        if not square >= 0:
            return (lowest + highest) / 2
        root = np.sqrt(square)
        t = float(b.t - width * (b.slope + root - middle) / (b.slope - a.slope + 2 * root))
    return min(max(t, lowest), highest)


def _work_dtype(dtype: Any) -> Any:
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _gathered(parameters: list[Any]) -> Any:
    """The gradients of all parameters as one vector, zeros where there is none; float16 in float32."""
    parts = [(np.zeros_like(p._array) if p._grad is None else p._grad._array).reshape(-1) for p in parameters]
    return namespace(parts[0]).concatenate([part.astype(_work_dtype(part.dtype), copy=False) for part in parts])


def _put(parameters: list[Any], start: list[Any], t: float = 0.0, d: Any = None) -> None:
    """Set the parameters to start + t d."""
    begin = 0
    for p, array in zip(parameters, start, strict=True):
        end = begin + array.size
        p._array[...] = array if d is None else array + t * d[begin:end].reshape(array.shape)
        p._bump()
        begin = end


def _largest(x: Any) -> float:
    return float(abs(x).max()) if x.size else 0.0


def _array(value: Any) -> Any:
    return value._array if isinstance(value, Tensor) else value
