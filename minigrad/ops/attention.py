"""Attention: each query takes a mean of the values, weighted by how well their keys answer it.

    y = p V        p = softmax(s) along the keys        s = scale · Q Kᵀ + mask

Shapes: Q (…, N, D), K (…, S, D), V (…, S, E) → y (…, N, E); the leading axes, batch and heads, broadcast. A key that a
query may not see has s = −∞ and p = 0. Source: Vaswani et al., "Attention Is All You Need", 2017.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd.careful import plain
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..dtypes import of_array
from ..errors import DtypeError, ShapeError
from .activation import Softmax
from .common import HALF, cast, in_single, require_floating, same_device, select, sum_to
from .dropout import dropout
from .sums import total


def _scores(q: Any, k: Any, mask: Any, scale: float, causal: bool) -> Any:
    """s, of arrays or Tensors; −∞ where a query may not see a key."""
    s = (q @ k.swapaxes(-1, -2)) * scale
    xp = namespace(s)
    if mask is not None:
        s = xp.where(mask, s, -math.inf) if plain(mask).dtype.kind == "b" else s + mask
    if causal:
        earlier = namespace(plain(s)).tri(*s.shape[-2:], dtype=bool)
        s = xp.where(earlier, s, -math.inf)
    return s


def _weights(s: Any) -> Any:
    """p: the softmax of scores; 0 for a query that sees no key."""
    array = plain(s)
    if not array.size:
        return s
    p = Softmax.apply(s, -1) if isinstance(s, Variable) else Softmax.compute(s, -1)[0]
    return select(array.max(-1, keepdims=True) != -np.inf, p)


class Attention(Op, kernel="attention.tiles.attention"):
    """y = p V with p = softmax(s) and s = scale · Q Kᵀ (+ mask).

    The product's rule gives dV = pᵀ dy and dp = dy Vᵀ; softmax's ds = p (dp − Σ p dp), the sum over the keys; and the
    first product's dQ = scale · ds K, dK = scale · dsᵀ Q. A mask that is added has dmask = ds, summed to its shape. A
    key that is not seen takes no part: its ds is 0, and so is its part of Σ p dp, whatever dp is there.
    """

    @staticmethod
    def compute(q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool) -> tuple[Any, ...]:
        """y alone. A kernel returns with it what it needs for the gradients."""
        return (_weights(_scores(q, k, mask, scale, causal)) @ v,)

    @staticmethod
    def keep(ctx: Any, result: Any, q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool) -> Any:
        ctx.saved, ctx.options = (q, k, v, mask, *result), (scale, causal)
        return result[0]

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (q, k, v, mask, *_), (scale, causal) = ctx.saved, ctx.options
        s = _scores(q, k, mask, scale, causal)
        p = _weights(s)
        dp = dy @ v.swapaxes(-1, -2)
        weighted = p * dp
        if mask is not None or causal:
            seen = plain(s) != -np.inf
            ds = select(seen, weighted - p * total(select(seen, weighted), -1, True))
        else:
            ds = weighted - p * total(weighted, -1, True)
        return (
            sum_to((ds @ k) * scale, q.shape) if ctx.needs(0) else None,
            sum_to((ds.swapaxes(-1, -2) @ q) * scale, k.shape) if ctx.needs(1) else None,
            sum_to(p.swapaxes(-1, -2) @ dy, v.shape) if ctx.needs(2) else None,
            sum_to(ds, mask.shape) if ctx.needs(3) else None,
        )


# --- the function users call -----------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """softmax(scale · Q Kᵀ + mask) V.

    Args:
        query: Q (…, N, D).
        key: K (…, S, D).
        value: V (…, S, E).
        attn_mask: broadcasts to (…, N, S): bool, True where a query sees a key, or floating, added to the scores.
        dropout_p: the probability with which a weight is dropped, always: pass 0 to evaluate.
        is_causal: a query sees no later key: j ≤ i.
        scale: 1/√D if not given.
        enable_gqa: key and value may have fewer heads (axis −3), each of which serves as many heads of the query.

    A query that sees no key gets y = 0, and all gradients through it are 0. Without dropout float32 attention on the
    CPU never holds the N × S scores (``kernels/attention/tiles.py``).

    Raises:
        ShapeError: shapes that do not fit together.
        DtypeError: dtypes that differ, or an integer mask.
        ValueError: ``dropout_p`` outside 0 … 1, or a mask beside ``is_causal``.

    Source: torch.nn.functional.scaled_dot_product_attention.
    """
    name = "scaled_dot_product_attention"
    tensors = {"query": query, "key": key, "value": value}
    for argument, t in tensors.items():
        a = require_floating(t, name, argument)._array
        if a.dtype != query._array.dtype:
            raise DtypeError(
                f"{name}: {argument} is {of_array(a)}, query {of_array(query._array)}; convert one of them"
            )
        if a.ndim < 2:
            raise ShapeError(f"{name}: {argument} needs two axes, (…, length, features), got shape {a.shape}")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{name}: dropout_p must be a probability, got {dropout_p!r}")
    if attn_mask is not None:
        if is_causal:
            raise ValueError(f"{name}: is_causal is a mask of its own; pass it or attn_mask, not both")
        tensors["attn_mask"] = attn_mask
    same_device(name, **tensors)
    if enable_gqa:
        key, value = (_for_each_head(name, query, t, argument) for t, argument in ((key, "key"), (value, "value")))
    _check_shapes(name, query, key, value, attn_mask)
    if scale is None:
        scale = 1 / math.sqrt(query._array.shape[-1]) if query._array.shape[-1] else 1.0

    def attend(q: Any, k: Any, v: Any) -> Any:
        mask = attn_mask
        if mask is not None and mask._array.dtype.kind == "f":
            mask = cast(mask, q._array.dtype)
        if dropout_p == 0:
            return Attention.apply(q, k, v, mask, float(scale), bool(is_causal))
        return dropout(_weights(_scores(q, k, mask, scale, is_causal)), dropout_p) @ v

    return in_single(attend, query, key, value) if query._array.dtype == HALF else attend(query, key, value)


def attention_weights(query: Any, key: Any, mask: Any = None) -> Any:
    """softmax(Q Kᵀ / √D + mask) itself, of tensors that fit together: (…, N, S)."""
    return _weights(_scores(query, key, mask, 1 / math.sqrt(query._array.shape[-1]), False))


def _for_each_head(name: str, query: Any, t: Any, argument: str) -> Any:
    """A key or value with as many heads as the query: each serves a group of them."""
    heads, own = query._array.shape[-3:-2], t._array.shape[-3:-2]
    if not heads or not own or not own[0] or heads[0] % own[0]:
        raise ShapeError(
            f"{name}: with enable_gqa the heads of query (shape {query._array.shape}, axis -3) must be a multiple of "
            f"those of {argument} (shape {t._array.shape})"
        )
    return t if heads == own else t.repeat_interleave(heads[0] // own[0], -3)


def _check_shapes(name: str, query: Any, key: Any, value: Any, mask: Any) -> None:
    q, k, v = query._array.shape, key._array.shape, value._array.shape
    if q[-1] != k[-1]:
        raise ShapeError(f"{name}: query has {q[-1]} features (shape {q}), key {k[-1]} (shape {k})")
    if k[-2] != v[-2]:
        raise ShapeError(f"{name}: there are {k[-2]} keys (shape {k}), but {v[-2]} values (shape {v})")
    try:
        lead = np.broadcast_shapes(q[:-2], k[:-2], v[:-2])
    except ValueError:
        raise ShapeError(f"{name}: the leading axes of query {q}, key {k} and value {v} do not broadcast") from None
    if mask is None:
        return
    if mask._array.dtype.kind not in "fb":
        raise DtypeError(f"{name}: attn_mask must be bool or floating, got {of_array(mask._array)}")
    scores = (*lead, q[-2], k[-2])
    try:
        fits = np.broadcast_shapes(mask._array.shape, scores) == scores
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: attn_mask has shape {mask._array.shape}, which does not broadcast to {scores}")
