"""Attention as a layer, with the projections that learn what to ask, what to answer to, and what to say."""

from __future__ import annotations

import math
from typing import Any

from ...creation import empty, zeros
from ...dtypes import bool_
from ...errors import DtypeError, ShapeError
from ...ops.attention import attention_weights
from ...ops.shape import cat
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals, probability
from .linear import Linear


class MultiheadAttention(Module):
    """y = [head₁, …, head_h] W_outᵀ + b with headᵢ = softmax(Qᵢ Kᵢᵀ / √d) Vᵢ, d = embed_dim / num_heads.

    Q, K and V are linear functions of query, key and value; each head takes d of their features and attends on its own.

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim) → y (L, N, embed_dim), and the weights
    (N, L, S), or (N, heads, L, S) with ``average_attn_weights=False``. With ``batch_first`` N comes first; without a
    batch there is no N anywhere.

    Args:
        embed_dim: features of the query and of y; a multiple of ``num_heads``.
        dropout: the probability with which a weight is dropped while training.
        bias: whether the projections have one.
        add_bias_kv: append a learned key and value to all others.
        add_zero_attn: append a key and a value of zeros.
        kdim, vdim: features of key and value, if they are not ``embed_dim``.

    A query that sees no key gets zeros from its heads. Weights are computed only if asked for: ``need_weights=False``
    is faster, and never holds the L × S scores.

    Raises:
        ValueError: sizes that do not fit.
        ShapeError, DtypeError: (when called) inputs or masks that do not fit.

    Source: Vaswani et al. 2017; torch.nn.MultiheadAttention.
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        naturals(name, embed_dim=embed_dim, num_heads=num_heads)
        probability(name, dropout=dropout)
        if not embed_dim or not num_heads or embed_dim % num_heads:
            raise ValueError(f"{name}: embed_dim ({embed_dim}) must be a positive multiple of num_heads ({num_heads})")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        sizes = [embed_dim, self.kdim, self.vdim]
        own = [f"{which}_proj_weight" for which in "qkv"]
        if sizes == [embed_dim] * 3:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, device=device, dtype=dtype))
            for weight in own:
                self.register_parameter(weight, None)
        else:
            self.register_parameter("in_proj_weight", None)
            for weight, size in zip(own, sizes, strict=True):
                setattr(self, weight, Parameter(empty(embed_dim, size, device=device, dtype=dtype)))
        if bias:
            self.in_proj_bias = Parameter(empty(3 * embed_dim, device=device, dtype=dtype))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        for appended in ("bias_k", "bias_v"):
            parameter = Parameter(empty(1, 1, embed_dim, device=device, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(appended, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections' weights anew (Glorot's uniform); the biases are 0."""
        for weight in self._weights():
            init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for appended in (self.bias_k, self.bias_v):
            if appended is not None:
                init.xavier_normal_(appended)

    def _weights(self) -> list[Any]:
        if self.in_proj_weight is not None:
            return [self.in_proj_weight]
        return [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """y and the weights (None without ``need_weights``).

        Args:
            key_padding_mask: (N, S), or (S,) without a batch: bool, True where a key is padding that no query may see,
                or floating, added to the scores.
            attn_mask: (L, S), or (N · heads, L, S): bool, True where a query may *not* see a key, or floating, added.
            is_causal: says that ``attn_mask`` is the causal one, which is then not read.
        """
        batched = self._check(query, key, value)
        q, k, v = self._projections(query, key, value)
        if not batched:
            q, k, v = q.unsqueeze(1), k.unsqueeze(1), v.unsqueeze(1)
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif self.batch_first:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        length, batch, width = q.shape
        if is_causal and attn_mask is None:
            raise ValueError(f"{type(self).__name__}: is_causal is a hint; pass the causal attn_mask with it")
        appended = self.bias_k is not None or self.add_zero_attn
        causal = is_causal and key_padding_mask is None and not need_weights and not appended
        mask = None if causal else self._mask(batch, length, k.shape[0], attn_mask, key_padding_mask, q.dtype)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = cat([k, self.bias_k.repeat(1, batch, 1)]), cat([v, self.bias_v.repeat(1, batch, 1)])
        if self.add_zero_attn:
            nothing = zeros(1, batch, width, device=k.device, dtype=k.dtype)
            k, v = cat([k, nothing]), cat([v, nothing])
        if mask is not None and appended:
            mask = F.pad(mask, (0, k.shape[0] - mask.shape[-1]))
        heads = [t.reshape(-1, batch, self.num_heads, self.head_dim).permute(1, 2, 0, 3) for t in (q, k, v)]
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.dropout(attention_weights(heads[0], heads[1], mask), p, p > 0)
            y = weights @ heads[2]
        else:
            y = F.scaled_dot_product_attention(heads[0], heads[1], heads[2], mask, p, causal)
        y = self.out_proj(y.permute(2, 0, 1, 3).reshape(length, batch, width))
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return y.squeeze(1), None if weights is None else weights.squeeze(0)
        return (y.transpose(0, 1) if self.batch_first else y), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether there is a batch; an error if the inputs do not fit together."""
        name = type(self).__name__
        sizes = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        for argument, (t, size) in sizes.items():
            if t.ndim not in (2, 3) or t.ndim != query.ndim or t.shape[-1] != size:
                axes = "(N, length, features)" if self.batch_first else "(length, N, features)"
                raise ShapeError(
                    f"{name}: {argument} must have axes {axes}, or (length, features) without a batch in all three, "
                    f"and {size} features, got shape {tuple(t.shape)}"
                )
        n = 0 if self.batch_first else 1
        if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and query.shape[n] != key.shape[n]):
            raise ShapeError(
                f"{name}: query {tuple(query.shape)}, key {tuple(key.shape)} and value {tuple(value.shape)} must have "
                "one batch size, and key and value one length"
            )
        return query.ndim == 3

    def _projections(self, query: Tensor, key: Tensor, value: Tensor) -> list[Any]:
        """Q, K and V; by one product if all are made of one tensor."""
        weights: Any
        biases = [None] * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        if self.in_proj_weight is None:
            weights = self._weights()
        elif query is key is value:
            return list(F.linear(query, self.in_proj_weight, self.in_proj_bias).chunk(3, -1))
        else:
            weights = self.in_proj_weight.chunk(3)
        return [F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)]

    def _mask(self, batch: int, length: int, keys: int, mask: Any, padding: Any, dtype: Any) -> Any:
        """Both masks as one that is added to scores (N, heads, L, S), or fewer axes; None if there is none."""
        name = type(self).__name__
        shapes: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
            "attn_mask": (mask, [(length, keys), (batch * self.num_heads, length, keys)]),
            "key_padding_mask": (padding, [(batch, keys)]),
        }
        added = []
        for argument, (t, allowed) in shapes.items():
            if t is None:
                continue
            if tuple(t.shape) not in allowed:
                wanted = " or ".join([str(shape) for shape in allowed])
                raise ShapeError(f"{name}: {argument} must have shape {wanted}, got {tuple(t.shape)}")
            if t.dtype != bool_ and not t.is_floating_point():
                raise DtypeError(f"{name}: {argument} must be bool or floating, got {t.dtype}")
            if t.dtype == bool_:
                t = zeros(t.shape, device=t.device, dtype=dtype).masked_fill(t, -math.inf)
            if argument == "key_padding_mask":
                t = t.reshape(batch, 1, 1, keys)
            elif t.ndim == 3:
                t = t.reshape(batch, self.num_heads, length, keys)
            added.append(t)
        return added[0] + added[1] if len(added) == 2 else added[0] if added else None
