"""The transformer: layers of attention and of a small network for each position, around which runs a shortcut.

Source: Vaswani et al., "Attention Is All You Need", 2017; names, defaults and parameters are PyTorch's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

from ...creation import full
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from .arguments import naturals
from .attention import MultiheadAttention
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear
from .normalization import LayerNorm

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu}


def _activation(layer: str, activation: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        if activation not in _ACTIVATIONS:
            raise ValueError(f"{layer}: activation must be 'relu', 'gelu' or a function, got {activation!r}")
        return _ACTIVATIONS[activation]
    if not callable(activation):
        raise TypeError(f"{layer}: activation must be 'relu', 'gelu' or a function, got {type(activation).__name__}")
    function: Callable[[Tensor], Tensor] = activation
    return function


class _Layer(Module):
    """What the encoder's and the decoder's layers share: attentions, the small network, and a shortcut around each."""

    attentions: ClassVar[tuple[str, ...]]
    self_attn: MultiheadAttention

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = F.relu,
        layer_norm_eps: float = 1e-5, batch_first: bool = False, norm_first: bool = False, bias: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        at: Any = {"device": device, "dtype": dtype}
        for name in self.attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **at))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **at)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **at)
        self.activation = _activation(type(self).__name__, activation)
        self.norm_first = norm_first
        branches = range(1, len(self.attentions) + 2)
        for i in branches:
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **at))
        for i in branches:
            setattr(self, f"dropout{i}", Dropout(dropout))

    def _network(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _residual(self, x: Tensor, number: int, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """x + dropout(branch(norm(x))), or norm(x + dropout(branch(x)))."""
        norm, dropout = getattr(self, f"norm{number}"), getattr(self, f"dropout{number}")
        if self.norm_first:
            return x + dropout(branch(norm(x)))
        y: Tensor = norm(x + dropout(branch(x)))
        return y


class TransformerEncoderLayer(_Layer):
    """x ← norm(x + attention(x, x, x)); x ← norm(x + W₂ f(W₁ x)), with dropout on both branches.

    With ``norm_first`` each branch gets norm(x), and the sum is left as it is: deep networks then learn without a
    warm-up.

    Shapes: (L, N, d_model), or (N, L, d_model) with ``batch_first``, or without N; the output is like the input.

    Args:
        d_model: features of each position.
        nhead: heads of the attention.
        dim_feedforward: features between W₁ and W₂.
        dropout: the probability with which an element of a branch, or a weight of the attention, is dropped.
        activation: f: "relu", "gelu" or a function.
        layer_norm_eps: ε of both norms.

    Source: torch.nn.TransformerEncoderLayer.
    """

    attentions = ("self_attn",)

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The masks are those of :class:`MultiheadAttention`."""

        def attend(x: Tensor) -> Any:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._residual(self._residual(src, 1, attend), 2, self._network)


class TransformerDecoderLayer(_Layer):
    """x ← norm(x + attention(x, x, x)); x ← norm(x + attention(x, memory, memory)); x ← norm(x + W₂ f(W₁ x)).

    ``memory`` is what an encoder made of another sequence. See :class:`TransformerEncoderLayer` for the arguments.
    Source: torch.nn.TransformerDecoderLayer.
    """

    attentions = ("self_attn", "multihead_attn")
    multihead_attn: MultiheadAttention

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The masks are those of :class:`MultiheadAttention`."""

        def itself(x: Tensor) -> Any:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def the_memory(x: Tensor) -> Any:
            padding = memory_key_padding_mask
            return self.multihead_attn(x, memory, memory, padding, False, memory_mask, is_causal=memory_is_causal)[0]

        x = self._residual(self._residual(tgt, 1, itself), 2, the_memory)
        return self._residual(x, 3, self._network)


class _Stack(Module):
    """Copies of a layer, one after the other, and a norm behind the last."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        naturals(type(self).__name__, num_layers=num_layers)
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def _through(self, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *arguments, **options)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """``num_layers`` copies of an encoder layer, and a norm behind the last if one is given.

    ``enable_nested_tensor`` and ``mask_check`` are PyTorch's switches for a faster way through; they are accepted and
    mean nothing here. Source: torch.nn.TransformerEncoder.
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:  # fmt: skip
        return self._through(src, mask, src_key_padding_mask, bool(is_causal))


class TransformerDecoder(_Stack):
    """``num_layers`` copies of a decoder layer, and a norm behind the last if one is given.

    Source: torch.nn.TransformerDecoder.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self._through(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)


class Transformer(Module):
    """An encoder of one sequence, and a decoder of another that attends to it.

    Shapes: src (S, N, d_model), tgt (T, N, d_model) → (T, N, d_model); N first with ``batch_first``, or no N. All
    weights with several axes start by Glorot's uniform. Source: torch.nn.Transformer.
    """

    def __init__(
        self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6, num_decoder_layers: int = 6,
        dim_feedforward: int = 2048, dropout: float = 0.1, activation: Any = F.relu,
        custom_encoder: Module | None = None, custom_decoder: Module | None = None, layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        at = {"device": device, "dtype": dtype}
        settings = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **at)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*settings, **at), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*settings, **at), num_decoder_layers, norm()
        )
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)

    def forward(
        self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None, tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None, memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None, tgt_is_causal: bool | None = None, memory_is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        """The masks are those of :class:`MultiheadAttention`."""
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        decoded: Tensor = self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )
        return decoded

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 where a position may look, itself and those before it; −∞ at later ones."""
        mask: Tensor = full((sz, sz), -math.inf, device=device, dtype=dtype).triu(1)
        return mask
