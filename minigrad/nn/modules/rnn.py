"""Recurrent layers: a state that goes through a sequence. Equations and derivations: :mod:`minigrad.ops.recurrent`."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...creation import empty, zeros
from ...errors import ShapeError
from ...ops.recurrent import GATES, RELU, TANH, recurrence
from ...ops.recurrent import GRU as GRU_STEP
from ...ops.recurrent import LSTM as LSTM_STEP
from ...ops.shape import cat, stack
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .arguments import naturals, probability


def _nonlinearity(layer: str, name: str) -> str:
    if name not in (TANH, RELU):
        raise ValueError(f"{layer}: nonlinearity must be 'tanh' or 'relu', got {name!r}")
    return name


class _Recurrent(Module):
    """What layers and cells share: weights of a direction, drawn from ±1/√hidden_size."""

    hidden_size: int

    def _add_weights(self, suffix: str, inputs: int, outputs: int, rows: int, bias: bool, at: Any) -> None:
        setattr(self, f"weight_ih{suffix}", Parameter(empty(rows, inputs, **at)))
        setattr(self, f"weight_hh{suffix}", Parameter(empty(rows, outputs, **at)))
        for name in ("bias_ih", "bias_hh"):
            if bias:
                setattr(self, name + suffix, Parameter(empty(rows, **at)))
            elif not suffix:
                self.register_parameter(name, None)

    def _weights(self, suffix: str) -> tuple[Any, ...]:
        """W_ih, b_ih, W_hh, b_hh and P; None for what there is not."""
        names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh", "weight_hr")
        return tuple([getattr(self, name + suffix, None) for name in names])

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in ±1/√hidden_size."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)


class RNNBase(_Recurrent):
    """Layers of a recurrence, in one direction or both.

    Shapes: input (T, N, input_size), or (N, T, input_size) with ``batch_first``, or (T, input_size), or a
    :class:`~minigrad.nn.utils.rnn.PackedSequence`; first states (layers · directions, N, hidden_size), zeros if not
    given. Returns the last layer's states of all steps, both directions side by side, and all layers' last states.

    Args:
        input_size: features of an element.
        hidden_size: features of the state.
        num_layers: each layer reads what the one below it has made.
        bias: whether there are b_ih and b_hh.
        dropout: the probability with which an output is dropped between layers while training.
        bidirectional: a second recurrence reads each layer's sequence from its end.
        proj_size: (LSTM) features to which the state is projected; 0 for none.
    """

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        naturals(name, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers, proj_size=proj_size)
        probability(name, dropout=dropout)
        if not hidden_size or not num_layers:
            raise ValueError(f"{name}: hidden_size and num_layers must be positive, got {hidden_size} and {num_layers}")
        if proj_size >= hidden_size:
            raise ValueError(f"{name}: proj_size ({proj_size}) must be smaller than hidden_size ({hidden_size})")
        if dropout and num_layers == 1:
            warnings.warn(f"{name}: dropout acts between layers, and there is one; dropout={dropout} does nothing")
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        at, outputs = {"device": device, "dtype": dtype}, proj_size or hidden_size
        for layer in range(num_layers):
            inputs = outputs * (2 if bidirectional else 1) if layer else input_size
            for suffix in self._directions(layer):
                self._add_weights(suffix, inputs, outputs, GATES[mode] * hidden_size, bias, at)
                if proj_size:
                    setattr(self, f"weight_hr{suffix}", Parameter(empty(proj_size, hidden_size, **at)))
        self.reset_parameters()

    def _directions(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"] if self.bidirectional else [f"_l{layer}"]

    def forward(self, input: Any, hx: Any = None) -> Any:
        packed = isinstance(input, PackedSequence)
        x: Any = input.data if packed else input
        batched = packed or x.ndim == 3
        if x.ndim not in ((2,) if packed else (2, 3)) or x.shape[-1] != self.input_size:
            axes = "(N, T, input_size)" if self.batch_first else "(T, N, input_size)"
            raise ShapeError(
                f"{type(self).__name__}: input must have axes {axes} or (T, input_size) with {self.input_size} "
                f"features, got shape {tuple(x.shape)}"
            )
        if packed:
            sizes = tuple(input.batch_sizes.tolist())
        else:
            x = x.unsqueeze(1) if not batched else x.transpose(0, 1) if self.batch_first else x
            sizes = (x.shape[1],) * x.shape[0]
            x = x.reshape(-1, self.input_size)
        if not sizes:
            raise ShapeError(f"{type(self).__name__}: the input has no steps, shape {tuple(input.shape)}")
        states = self._first_states(hx, x, sizes[0], batched, input.sorted_indices if packed else None)
        y, last = self._layers(x, states, sizes)
        if packed:
            if input.unsorted_indices is not None:
                last = [state.index_select(1, input.unsorted_indices) for state in last]
            return input._replace(data=y), last[0] if len(last) == 1 else tuple(last)
        y = y.reshape(len(sizes), sizes[0], -1)
        if not batched:
            y, last = y.squeeze(1), [state.squeeze(1) for state in last]
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, last[0] if len(last) == 1 else tuple(last)

    def _first_states(self, hx: Any, x: Any, batch: int, batched: bool, order: Any) -> list[Any]:
        """h, and an LSTM's c, each (layers · directions, N, features), in the order of the packed sequences."""
        name, count = type(self).__name__, self.num_layers * (2 if self.bidirectional else 1)
        features = [self.proj_size or self.hidden_size] + [self.hidden_size] * (self.mode == LSTM_STEP)
        if hx is None:
            return [zeros(count, batch, n, device=x.device, dtype=x.dtype) for n in features]
        given = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        wanted = [(count, batch, n) if batched else (count, n) for n in features]
        if [tuple(state.shape) for state in given] != wanted:
            raise ShapeError(
                f"{name}: the first state must have shape {' and '.join(map(str, wanted))}, got "
                f"{' and '.join(str(tuple(state.shape)) for state in given)}"
            )
        given = given if batched else [state.unsqueeze(1) for state in given]
        return given if order is None else [state.index_select(1, order) for state in given]

    def _layers(self, x: Any, states: list[Any], sizes: tuple[int, ...]) -> tuple[Any, list[Any]]:
        last: list[list[Any]] = [[] for _ in states]
        for layer in range(self.num_layers):
            outputs = []
            for direction, suffix in enumerate(self._directions(layer)):
                w_ih, b_ih, w_hh, b_hh, p = self._weights(suffix)
                first = [state[len(last[0])] for state in states]
                h, c = first if len(first) == 2 else (first[0], None)
                made = recurrence(F.linear(x, w_ih, b_ih), h, c, w_hh, b_hh, p, self.mode, sizes, direction == 1)
                outputs.append(made[0])
                for kept, state in zip(last, made[1:], strict=True):
                    kept.append(state)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [stack(kept) for kept in last]

    def flatten_parameters(self) -> None:
        """Does nothing: PyTorch lays its weights out for cuDNN here."""

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        shown = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0.0,
            "bidirectional": False,
        }
        changed = [f"{k}={getattr(self, k)}" for k, default in shown.items() if getattr(self, k) != default]
        return ", ".join([text, *changed])


class RNN(RNNBase):
    """h_t = tanh(x_t W_ihᵀ + b_ih + h_{t−1} W_hhᵀ + b_hh), or ReLU in the place of tanh.

    Arguments and shapes: :class:`RNNBase`. Source: Elman 1990; torch.nn.RNN.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(_nonlinearity("RNN", nonlinearity), *sizes, 0, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """A state h and a cell c that gates write, forget and read (see :mod:`minigrad.ops.recurrent`).

    ``hx`` and the last states are pairs (h, c). Arguments and shapes: :class:`RNNBase`. Source: Hochreiter and
    Schmidhuber 1997; torch.nn.LSTM.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size)
        super().__init__(LSTM_STEP, *sizes, device, dtype)


class GRU(RNNBase):
    """A state that a gate mixes with a new one, and a gate for what the new one sees of the old.

    Arguments and shapes: :class:`RNNBase`. Source: Cho et al. 2014; torch.nn.GRU.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        sizes = (input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        super().__init__(GRU_STEP, *sizes, 0, device, dtype)


class _Cell(_Recurrent):
    """One step: input (N, input_size) or (input_size), state (N, hidden_size) or (hidden_size)."""

    mode: str

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        naturals(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows, at = GATES[self.mode] * hidden_size, {"device": device, "dtype": dtype}
        self._add_weights("", input_size, hidden_size, rows, bias, at)
        self.reset_parameters()

    def _step(self, input: Tensor, states: Any) -> list[Any]:
        """The new states, from those given or from zeros."""
        name, count = type(self).__name__, 2 if self.mode == LSTM_STEP else 1
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input must have shape (N, {self.input_size}) or ({self.input_size},), got "
                f"{tuple(input.shape)}"
            )
        shape = (*input.shape[:-1], self.hidden_size)
        if states is None:
            states = [zeros(shape, device=input.device, dtype=input.dtype)] * count
        for state in states:
            if tuple(state.shape) != shape:
                raise ShapeError(f"{name}: the state must have shape {shape}, got {tuple(state.shape)}")
        x = input if input.ndim == 2 else input.unsqueeze(0)
        states = [state if input.ndim == 2 else state.unsqueeze(0) for state in states]
        w_ih, b_ih, w_hh, b_hh, _ = self._weights("")
        h, c = states if count == 2 else (states[0], None)
        made = recurrence(F.linear(x, w_ih, b_ih), h, c, w_hh, b_hh, None, self.mode, (x.shape[0],))
        return [state if input.ndim == 2 else state.squeeze(0) for state in made[1:]]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h = tanh(x W_ihᵀ + b_ih + h W_hhᵀ + b_hh), or ReLU: one step of :class:`RNN`. Source: torch.nn.RNNCell."""

    mode = TANH

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.mode = self.nonlinearity = _nonlinearity("RNNCell", nonlinearity)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        return self._step(input, None if hx is None else [hx])[0]


class LSTMCell(_Cell):
    """One step of :class:`LSTM`: (h, c) from x and (h, c). Source: torch.nn.LSTMCell."""

    mode = LSTM_STEP

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        h, c = self._step(input, None if hx is None else list(hx))
        return h, c


class GRUCell(_Cell):
    """One step of :class:`GRU`. Source: torch.nn.GRUCell."""

    mode = GRU_STEP

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Any:
        return self._step(input, None if hx is None else [hx])[0]
