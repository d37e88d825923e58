"""Measures the outputs of layers for a batch: their distribution, and how many are saturated or dead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ... import nn
from ...autograd import no_grad
from ...nn.inspection.preserved import preserved
from ...tensor import Tensor
from .histogram import Histogram

# These return their input unchanged in eval mode.
_UNCHANGED_IN_EVAL = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
    *(nn.Flatten, nn.Unflatten, nn.Identity),
)


@dataclass(frozen=True, eq=False)
class Activation:
    """The output of one layer for a batch.

    Attributes:
        kind: the layer's class, such as "Tanh".
        histogram: of all elements.
        saturated: for Tanh and Sigmoid, the share of elements (0 … 1) so close to a limit that their gradient is almost
            0; None for other layers.
        dead: for ReLU and ReLU6, the share of units that are 0 for the whole batch, so that they get no gradient from
            it; a unit is a channel of (N, C, …), a neuron of (N, F). None for other layers.
    """

    kind: str
    histogram: Histogram
    saturated: float | None = None
    dead: float | None = None

    @property
    def mean(self) -> float:
        return self.histogram.mean

    @property
    def std(self) -> float:
        return self.histogram.std


class ActivationProbe:
    """Measures the outputs of a model's layers on a batch, in eval mode and without a graph.

        for name, activation in ActivationProbe(model).measure(images).items():
            print(name, activation.mean, activation.std, activation.saturated, activation.dead)

    It uses hooks, which keep a layer and its activation from running as one op, and removes them afterwards. What a
    ``forward`` computes by functions (``F.tanh(x)``, ``x.relu()``) is not a module and is not measured: write it as
    ``nn.Tanh()``. The model is left as it was.

    Args:
        layers: the names of the modules to measure. None: every module without sub-modules, except those that return
            their input unchanged (Flatten, dropout, …).
        saturation: the share of the limit above which an output counts as saturated: |y| > saturation for Tanh,
            y < 1 − saturation or y > saturation for Sigmoid.
        bins: of the histograms.
    Raises ValueError for a name that the model does not have, or a saturation that is not in 0.5 … 1.
    """

    def __init__(
        self, model: nn.Module, layers: Iterable[str] | None = None, saturation: float = 0.97, bins: int = 64
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"ActivationProbe: model is a {type(model).__name__}, expected an nn.Module")
        if not 0.5 <= saturation <= 1:
            raise ValueError(f"ActivationProbe: saturation = {saturation!r}, expected a number in 0.5 … 1")
        self.model = model
        self.saturation = saturation
        self.bins = bins
        modules = dict(model.named_modules())
        if layers is None:
            self.layers = {
                name: m for name, m in modules.items() if not m._modules and not isinstance(m, _UNCHANGED_IN_EVAL)
            }
        else:
            chosen = [layers] if isinstance(layers, str) else list(layers)
            unknown = [name for name in chosen if name not in modules]
            if unknown:
                there = ", ".join(name for name in modules if name)
                raise ValueError(f"ActivationProbe: the model has no layer {unknown[0]!r}; it has {there or 'none'}")
            self.layers = {name: modules[name] for name in chosen}

    def measure(self, batch: Any) -> dict[str, Activation]:
        """{layer: its output}, in the order in which the layers ran.

        A layer that runs again in the same forward pass is called "name:2", "name:3", …; one whose output is not a
        floating-point tensor is left out.

        Args:
            batch: an input, or (input, …, target) as a DataLoader yields it; it is moved to the model's device.
        """
        found: dict[str, Activation] = {}
        with preserved(self.model), self._hooked(found), no_grad():
            self.model.eval()
            self.model(*self._inputs(batch))
        return found

    def _inputs(self, batch: Any) -> tuple[Any, ...]:
        inputs = batch if isinstance(batch, (tuple, list)) else (batch,)
        inputs = inputs[:-1] if len(inputs) > 1 else inputs
        device = next((t.device for t in (*self.model.parameters(), *self.model.buffers())), None)
        return tuple(x.to(device) if isinstance(x, Tensor) and device is not None else x for x in inputs)

    @contextlib.contextmanager
    def _hooked(self, found: dict[str, Activation]) -> Iterator[None]:
        names = {id(module): name or type(module).__name__ for name, module in self.layers.items()}
        calls: dict[str, int] = {}

        def record(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                name = names[id(module)]
                calls[name] = calls.get(name, 0) + 1
                found[name if calls[name] == 1 else f"{name}:{calls[name]}"] = self._measured(module, output._array)

        with contextlib.ExitStack() as hooks:
            for module in self.layers.values():
                hooks.enter_context(module.register_forward_hook(record))
            yield

    def _measured(self, module: nn.Module, y: Any) -> Activation:
        """``y``: the array (N, C, …) that the module returned."""
        saturated = dead = None
        if y.size and isinstance(module, nn.Tanh):
            saturated = float((abs(y) > self.saturation).mean())
        elif y.size and isinstance(module, nn.Sigmoid):
            saturated = float((abs(y - 0.5) > self.saturation - 0.5).mean())
        elif y.size and isinstance(module, (nn.ReLU, nn.ReLU6)):
            alive = y.max(tuple(i for i in range(y.ndim) if i != 1)) if y.ndim > 1 else y  # (C,)
            dead = float((alive == 0).mean())
        return Activation(type(module).__name__, Histogram.of(y, self.bins), saturated, dead)
