"""Attention on the CPU, in tiles: y = softmax(s) V with s = scale · Q Kᵀ, without the N × S matrix s in memory.

A row of s is needed whole, for its largest element m and its sum l = Σ e^(s − m), before the first element of
softmax(s) = e^(s − m) / l is known. *Online* softmax (Milakov and Gimelshein, 2018) does with one piece of the keys at
a time. Say m, l and o = Σ e^(s − m) v are known for the keys so far, and a piece comes with the scores s′:

    m′ = max(m, max s′)
    l′ = l e^(m − m′) + Σ e^(s′ − m′)
    o′ = o e^(m − m′) + Σ e^(s′ − m′) v

What was summed up for the old m is right for the new one after one factor, since e^(s − m) e^(m − m′) = e^(s − m′).
After the last piece y = o / l (Dao et al., "FlashAttention", 2022). Scores of QUERIES × KEYS elements stay in the
cache, where they are made by the tiles of a matrix product, raised to a power, and multiplied by V.

Backward: m and ln l of each row are all that is kept, apart, since their sum would round ln l away beside a large m.
With p = e^(s − m − ln l), made again piece by piece,

    dV = pᵀ dy        dp = dy Vᵀ        ds = p (dp − Σ p dp)        dQ = scale · ds K        dK = scale · dsᵀ Q

and Σⱼ pⱼ dpⱼ = Σⱼ pⱼ (dy · vⱼ) = dy · y: one number a row, known before the first piece.

Each head (of each sample) belongs to one thread, so results do not depend on their number. A row whose keys are all
masked has m = −∞: y = 0, and its gradients are 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..machine import memory
from ..machine.compile import jit
from ..machine.layout import FLOAT32
from ..machine.shared import share, shared
from ..machine.threads import shares
from ..machine.tile import WIDTH
from ..matmul.gemm import NO_BIAS, alone
from ..pointwise.activation import NONE
from ..pointwise.functions import ZERO, exp_below

QUERIES, KEYS = 96, 512  # scores at a time: 192 KB
SMALLEST = 1024  # elements of Q from which this pays
COST = 0.05  # nanoseconds a multiply-add takes
NO_MASK = np.empty((1, 0, 0), np.float32)


@jit
def _times(a: Any, b: Any, b_turned: bool, c: Any) -> None:
    """C = A B, or A Bᵀ."""
    m, n = c.shape
    alone(a, False, b, b_turned, 0, a.shape[1], c, 0, m, 0, (n + WIDTH - 1) // WIDTH, NO_BIAS, NONE)


@jit
def _transposed_times(a: Any, b: Any, c: Any) -> None:
    """C = Aᵀ B."""
    m, n = c.shape
    alone(a, True, b, False, 0, b.shape[0], c, 0, m, 0, (n + WIDTH - 1) // WIDTH, NO_BIAS, NONE)


@jit
def _scores(q: Any, k: Any, top: int, left: int, scale: Any, causal: bool, mask: Any, s: Any) -> None:
    """s = scale · q kᵀ for queries from ``top`` and keys from ``left`` on; −∞ where a query may not see a key."""
    _times(q, k, True, s)
    for i in range(s.shape[0]):
        row = s[i]
        for j in range(row.size):
            row[j] *= scale
        if mask.size:
            line = mask[top + i, left : left + row.size]
            for j in range(row.size):
                row[j] = -np.inf if line[j] == -np.inf else row[j] + line[j]
        if causal:
            for j in range(max(0, top + i + 1 - left), row.size):
                row[j] = -np.inf


@jit
def _last_key(keys: int, bottom: int, causal: bool) -> int:
    """How many keys the queries above ``bottom`` see."""
    return min(keys, bottom) if causal else keys


@jit
def _forward_of(q: Any, k: Any, v: Any, scale: Any, causal: bool, mask: Any, y: Any, m: Any, log: Any) -> None:
    """One head: y, and of each row m and ln l."""
    n, keys, width = q.shape[0], k.shape[0], v.shape[1]
    flat, total = np.empty(QUERIES * min(keys, KEYS), np.float32), np.empty(QUERIES, np.float32)
    part = np.empty((QUERIES, width), np.float32)
    for top in range(0, n, QUERIES):
        rows = min(QUERIES, n - top)
        for i in range(rows):
            m[top + i], total[i] = -np.inf, ZERO
        out = y[top : top + rows]
        end = _last_key(keys, top + rows, causal)
        for left in range(0, end, KEYS):
            right = min(left + KEYS, end)
            s = flat[: rows * (right - left)].reshape(rows, right - left)
            _scores(q[top : top + rows], k[left:right], top, left, scale, causal, mask, s)
            for i in range(rows):
                row, old = s[i], m[top + i]
                largest = old
                for j in range(row.size):
                    largest = row[j] if row[j] > largest else largest
                base = ZERO if largest == -np.inf else largest  # nothing seen yet: e^(−∞ − 0) = 0
                sum_ = ZERO
                for j in range(row.size):
                    e = exp_below(row[j] - base)
                    row[j] = e
                    sum_ += e
                factor = exp_below(old - base)
                m[top + i], total[i] = largest, total[i] * factor + sum_
                if left:
                    for c in range(width):
                        out[i, c] *= factor
            if left == 0:
                _times(s, v[left:right], False, out)
            else:
                piece = part[:rows]
                _times(s, v[left:right], False, piece)
                for i in range(rows):
                    for c in range(width):
                        out[i, c] += piece[i, c]
        for i in range(rows):
            seen = total[i] != ZERO
            log[top + i] = math.log(total[i]) if seen else ZERO
            inverse = np.float32(1) / total[i] if seen else ZERO
            for c in range(width):
                out[i, c] = out[i, c] * inverse if seen else ZERO


@shared
def _forward(
    t: int, parts: int, q: Any, k: Any, v: Any, scale: Any, causal: bool, masks: Any, which: Any,
    y: Any, m: Any, log: Any,
) -> None:  # fmt: skip
    first, last = share(t, parts, q.shape[0])
    for h in range(first, last):
        _forward_of(q[h], k[h], v[h], scale, causal, masks[which[h]], y[h], m[h], log[h])


@jit
def _backward_of(
    dy: Any, q: Any, k: Any, v: Any, scale: Any, causal: bool, mask: Any, y: Any, m: Any, log: Any,
    dq: Any, dk: Any, dv: Any,
) -> None:  # fmt: skip
    """The same head's dQ, dK and dV."""
    n, keys, width = q.shape[0], k.shape[0], v.shape[1]
    size = min(keys, KEYS)
    p_flat, d_flat = np.empty(QUERIES * size, np.float32), np.empty(QUERIES * size, np.float32)
    for a in (dq, dk, dv):
        for i in range(a.shape[0]):
            for c in range(a.shape[1]):
                a[i, c] = ZERO
    part = np.empty((max(QUERIES, size), max(width, q.shape[1])), np.float32).ravel()
    for top in range(0, n, QUERIES):
        rows = min(QUERIES, n - top)
        g, queries = dy[top : top + rows], q[top : top + rows]
        for left in range(0, _last_key(keys, top + rows, causal), KEYS):
            right = min(left + KEYS, _last_key(keys, top + rows, causal))
            count = right - left
            p, ds = p_flat[: rows * count].reshape(rows, count), d_flat[: rows * count].reshape(rows, count)
            _scores(queries, k[left:right], top, left, scale, causal, mask, p)
            _times(g, v[left:right], True, ds)
            for i in range(rows):
                base = ZERO if m[top + i] == -np.inf else m[top + i]
                dot = ZERO
                for c in range(width):
                    dot += g[i, c] * y[top + i, c]
                row, slope, shift = p[i], ds[i], log[top + i]
                for j in range(count):
                    e = exp_below(row[j] - base - shift)
                    slope[j] = ZERO if row[j] == -np.inf else e * (slope[j] - dot) * scale
                    row[j] = e
            one = part[: count * width].reshape(count, width)
            _transposed_times(p, g, one)
            _add(one, dv[left:right])
            two = part[: rows * q.shape[1]].reshape(rows, q.shape[1])
            _times(ds, k[left:right], False, two)
            _add(two, dq[top : top + rows])
            three = part[: count * q.shape[1]].reshape(count, q.shape[1])
            _transposed_times(ds, queries, three)
            _add(three, dk[left:right])


@jit
def _add(x: Any, total: Any) -> None:
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            total[i, c] += x[i, c]


@shared
def _backward(
    t: int, parts: int, dy: Any, q: Any, k: Any, v: Any, scale: Any, causal: bool, masks: Any, which: Any,
    y: Any, m: Any, log: Any, dq: Any, dk: Any, dv: Any,
) -> None:  # fmt: skip
    first, last = share(t, parts, q.shape[0])
    for h in range(first, last):
        _backward_of(dy[h], q[h], k[h], v[h], scale, causal, masks[which[h]], y[h], m[h], log[h], dq[h], dk[h], dv[h])


def _masks(mask: Any, lead: tuple[int, ...], n: int, keys: int) -> tuple[Any, Any]:
    """What is added to scores, (masks, N, S), and for each head which of them is its own."""
    heads = math.prod(lead)
    if mask is None:
        return NO_MASK, np.zeros(heads, np.int64)
    added = np.where(mask, np.float32(0), np.float32(-np.inf)) if mask.dtype.kind == "b" else mask
    own = added.shape[:-2]
    masks = np.ascontiguousarray(np.broadcast_to(added, (*own, n, keys)), np.float32).reshape(-1, n, keys)
    which = np.arange(masks.shape[0]).reshape((1,) * (len(lead) - len(own)) + own)
    return masks, np.ascontiguousarray(np.broadcast_to(which, lead)).reshape(heads)


def _heads(x: Any) -> Any:
    """(…, length, features) → (heads, length, features), contiguous."""
    return np.ascontiguousarray(x).reshape(-1, *x.shape[-2:])


def _parts(q: Any, k: Any, products: int) -> int:
    heads = math.prod(q.shape[:-2])
    return shares(COST * products * q.size * k.shape[-2], heads)


def attention(q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool) -> Any:
    lead, (n, _), (keys, width) = q.shape[:-2], q.shape[-2:], v.shape[-2:]
    alike = k.shape[:-2] == v.shape[:-2] == lead and all(a.dtype is FLOAT32 and a.size for a in (q, k, v))
    if not alike or q.size < SMALLEST:
        return NotImplemented
    masks, which = _masks(mask, lead, n, keys)
    y = memory.empty((which.size, n, width))
    m, log = np.empty((2, which.size, n), FLOAT32)
    args = _heads(q), _heads(k), _heads(v), np.float32(scale), causal, masks, which
    _forward.launch(_parts(q, k, 2), (*args, y, m, log))
    return y.reshape(*lead, n, width), m, log


def attention_gradients(
    needs: Any, dy: Any, q: Any, k: Any, v: Any, mask: Any, y: Any, m: Any, log: Any, scale: float, causal: bool
) -> Any:
    if needs(3) or dy.dtype is not FLOAT32:
        return NotImplemented
    masks, which = _masks(mask, q.shape[:-2], q.shape[-2], k.shape[-2])
    heads = _heads(dy), _heads(q), _heads(k), _heads(v)
    gradients = [memory.empty(a.shape) for a in heads[1:]]
    args = *heads, np.float32(scale), causal, masks, which, _heads(y), m, log, *gradients
    _backward.launch(_parts(q, k, 5), args)
    shaped = [g.reshape(a.shape) for g, a in zip(gradients, (q, k, v), strict=True)]
    return (*[g if needs(i) else None for i, g in enumerate(shaped)], None)


KERNELS = {"attention": (attention, attention_gradients)}
