"""Recurrence: a layer's state goes through a sequence, and its weights are the same at every step.

With G_t = x_t W_ihᵀ + b_ih, computed for all steps by one product (:func:`minigrad.nn.functional.linear`), and
U_t = h_{t−1} Wᵀ + b, a step is (σ the logistic function, ⊙ the product of elements)

    RNN     h_t = f(G_t + U_t), f = tanh or ReLU
    LSTM    i, f, g, o = σ, σ, tanh, σ of the four quarters of G_t + U_t
            c_t = f ⊙ c_{t−1} + i ⊙ g        h_t = o ⊙ tanh c_t, or its projection (o ⊙ tanh c_t) Pᵀ
    GRU     r, z = σ of the first two thirds of G_t + U_t        n = tanh(G_t + r ⊙ U_t) in the last third
            h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}

Backpropagation through time. h_t is used twice, as the output y_t and by step t + 1, so its gradient is the sum of
both: walk the steps backwards and carry dh (and dc). At step t, with dh = dy_t + what step t + 1 sent back,

    RNN     dU = dG = dh ⊙ f′
    LSTM    do = dh ⊙ tanh c        dc += dh ⊙ o ⊙ (1 − tanh² c)
            di = dc ⊙ g, dg = dc ⊙ i, df = dc ⊙ c_{t−1}, and c_{t−1} is sent dc ⊙ f
            dU = dG = (di ⊙ i(1 − i), df ⊙ f(1 − f), dg ⊙ (1 − g²), do ⊙ o(1 − o))
    GRU     dz = dh ⊙ (h_{t−1} − n), dn = dh ⊙ (1 − z), dr = dn ⊙ (1 − n²) ⊙ U
            dG = (dr ⊙ r(1 − r), dz ⊙ z(1 − z), dn ⊙ (1 − n²)), dU the same with r ⊙ in the last third

and h_{t−1} is sent dU W (a GRU's also dh ⊙ z). The weights serve every step, so their gradients are sums over steps:
dW = Σ_t dU_tᵀ h_{t−1}, one product of all steps laid end to end, and db = Σ dU.

Sequences of different lengths are packed: the rows of all that are at least t long stand together as step t, the
longest first, and step t changes the first rows of the state only.

Sources: Elman 1990; Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..autograd.engine import grad
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from .activation import relu, sigmoid, sigmoid_of
from .common import select
from .elementwise import tanh
from .shape import cat
from .sums import total

TANH, RELU, LSTM, GRU = "tanh", "relu", "lstm", "gru"
GATES = {TANH: 1, RELU: 1, LSTM: 4, GRU: 3}


def steps(sizes: tuple[int, ...], backwards: bool) -> Iterator[tuple[int, slice]]:
    """(how many sequences are that long, where their rows are) of each step, in order or from the last to the first."""
    starts = [0]
    for n in sizes:
        starts.append(starts[-1] + n)
    order = range(len(sizes) - 1, -1, -1) if backwards else range(len(sizes))
    for t in order:
        yield sizes[t], slice(starts[t], starts[t + 1])


class Recurrence(Op):
    """(y, h, c) from G (rows, gates · H), the first states h₀ (N, H) and c₀, W (gates · H, H), b and P (see above).

    c₀ is an LSTM's alone, P that of one with a projection; rows are those of all steps. h and c are the last states.
    """

    @staticmethod
    def forward(
        ctx: Any, g: Any, h0: Any, c0: Any, w: Any, b: Any, p: Any, kind: str, sizes: tuple[int, ...], backwards: bool
    ) -> Any:
        xp = namespace(g)
        hidden, gates = w.shape[0] // GATES[kind], g.copy()
        h: Any = h0.copy()
        c: Any = None if c0 is None else c0.copy()
        y, before = xp.empty((g.shape[0], h.shape[1]), g.dtype), xp.empty((g.shape[0], h.shape[1]), g.dtype)
        # An LSTM keeps c before each step and tanh c behind it, a GRU the last third of U.
        cells: Any = xp.empty((2, g.shape[0], hidden), g.dtype) if kind in (LSTM, GRU) else None
        for n, rows in steps(sizes, backwards):
            now, last = gates[rows], h[:n].copy()
            u = last @ w.T
            if b is not None:
                u += b
            before[rows] = last
            if kind == GRU:
                now[:, : 2 * hidden] = sigmoid_of(now[:, : 2 * hidden] + u[:, : 2 * hidden])
                cells[0, rows] = u[:, 2 * hidden :]
                r, z, new = (now[:, i * hidden : (i + 1) * hidden] for i in range(3))
                new[...] = xp.tanh(new + r * u[:, 2 * hidden :])
                state = new + z * (last - new)
            elif kind == LSTM:
                now += u
                now[:, : 2 * hidden] = sigmoid_of(now[:, : 2 * hidden])
                now[:, 2 * hidden : 3 * hidden] = xp.tanh(now[:, 2 * hidden : 3 * hidden])
                now[:, 3 * hidden :] = sigmoid_of(now[:, 3 * hidden :])
                i, f, new, o = (now[:, k * hidden : (k + 1) * hidden] for k in range(4))
                cells[0, rows] = c[:n]
                c[:n] = f * c[:n] + i * new
                cells[1, rows] = xp.tanh(c[:n])
                state = o * cells[1, rows]
                if p is not None:
                    state = state @ p.T
            else:
                now += u
                state = xp.tanh(now) if kind == TANH else xp.maximum(now, 0)
                now[...] = state
            y[rows] = state
            h[:n] = state
        ctx.saved, ctx.options = (g, h0, c0, w, b, p, gates, before, cells), (kind, sizes, backwards)
        return (y, h) if c is None else (y, h, c)

    @staticmethod
    def backward(ctx: Any, dy: Any, dh: Any, dc: Any = None) -> Any:  # type: ignore[override]
        (_, _, _, w, b, p, gates, before, cells), (kind, sizes, backwards) = ctx.saved, ctx.options
        if isinstance(dy, Variable):
            return _through_ops(ctx, [dy, dh] if dc is None else [dy, dh, dc])
        xp = namespace(dy)
        hidden = w.shape[0] // GATES[kind]
        dh, dc = dh.copy(), None if dc is None else dc.copy()
        dg = xp.empty_like(gates)
        du: Any = xp.empty_like(gates) if kind == GRU else None
        projected: Any = xp.empty((gates.shape[0], dh.shape[1]), dy.dtype) if p is not None else None
        for n, rows in steps(sizes, not backwards):
            d, now, out = dy[rows] + dh[:n], gates[rows], dg[rows]
            parts = [slice(k * hidden, (k + 1) * hidden) for k in range(GATES[kind])]
            if kind == GRU:
                r, z, new = (now[:, part] for part in parts)
                out[:, parts[2]] = d * (1 - z) * (1 - new * new)
                out[:, parts[1]] = d * (before[rows] - new) * z * (1 - z)
                out[:, parts[0]] = out[:, parts[2]] * cells[0, rows] * r * (1 - r)
                du[rows] = out
                du[rows, parts[2]] *= r
                dh[:n] = d * z + du[rows] @ w
                continue
            if kind == LSTM:
                if p is not None:
                    projected[rows] = d
                    d = d @ p
                i, f, new, o = (now[:, part] for part in parts)
                tanh_c = cells[1, rows]
                dcell = dc[:n] + d * o * (1 - tanh_c * tanh_c)
                out[:, parts[0]] = dcell * new * i * (1 - i)
                out[:, parts[1]] = dcell * cells[0, rows] * f * (1 - f)
                out[:, parts[2]] = dcell * i * (1 - new * new)
                out[:, parts[3]] = d * tanh_c * o * (1 - o)
                dc[:n] = dcell * f
            else:
                out[...] = d * (1 - now * now) if kind == TANH else select(~(now <= 0), d)
            dh[:n] = out @ w
        du = dg if du is None else du
        dp = None
        if p is not None and ctx.needs(5):
            dp = projected.T @ (gates[:, 3 * hidden :] * cells[1])
        db = total(du, 0) if b is not None and ctx.needs(4) else None
        return dg, dh, dc, du.T @ before if ctx.needs(3) else None, db, dp


def _through_ops(ctx: Any, upstream: list[Any]) -> tuple[Any, ...]:
    """The gradients as a graph of their own: those of the same steps, written as ordinary ops."""
    inputs, (kind, sizes, backwards) = list(ctx.saved[:6]), ctx.options
    g, h, c, w, b, p = inputs
    hidden = w.shape[0] // GATES[kind]
    found: dict[int, Any] = {}
    for n, rows in steps(sizes, backwards):
        last = h[:n]
        u = last @ w.T if b is None else last @ w.T + b
        if kind == GRU:
            both = sigmoid(g[rows, : 2 * hidden] + u[:, : 2 * hidden])
            new = tanh(g[rows, 2 * hidden :] + both[:, :hidden] * u[:, 2 * hidden :])
            state = new + both[:, hidden:] * (last - new)
        elif kind == LSTM:
            i, f, new, o = ((g[rows] + u)[:, k * hidden : (k + 1) * hidden] for k in range(4))
            cell = sigmoid(f) * c[:n] + sigmoid(i) * tanh(new)
            state = sigmoid(o) * tanh(cell)
            state = state if p is None else state @ p.T
            c = cat([cell, c[n:]])
        else:
            state = tanh(g[rows] + u) if kind == TANH else relu(g[rows] + u)
        found[rows.start] = state
        h = cat([state, h[n:]])
    outputs = [cat([found[start] for start in sorted(found)]), h, *([] if c is None else [c])]
    wanted = [t for t in inputs if isinstance(t, Variable) and t._requires_grad]
    made = iter(grad(outputs, wanted, upstream, create_graph=True, allow_unused=True))
    return tuple([next(made) if isinstance(t, Variable) and t._requires_grad else None for t in inputs])


def recurrence(
    g: Any, h: Any, c: Any, w: Any, b: Any, p: Any, kind: str, sizes: tuple[int, ...], backwards: bool = False
) -> tuple[Any, ...]:
    """(y, h) or, of an LSTM, (y, h, c): see :class:`Recurrence`."""
    outputs: tuple[Any, ...] = Recurrence.apply(g, h, c, w, b, p, kind, sizes, backwards)
    return outputs
