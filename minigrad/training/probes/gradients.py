"""Measures gradients by layer, and reports those that vanish or explode."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...nn import Module
from .histogram import Histogram, squared_norm


class GradientProbe:
    """Reads the gradients that a backward pass has left in a model's parameters.

        probe = GradientProbe(model)
        loss.backward()
        print(probe.total, probe.norms())
        print("\\n".join(probe.verdict()))

    Parameters are known by their names in ``model.named_parameters()``. Nothing is changed.
    """

    def __init__(self, model: Module) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"GradientProbe: model is a {type(model).__name__}, expected an nn.Module")
        self.model = model

    def norms(self) -> dict[str, float]:
        """{name: ‖g‖₂ of the parameter's gradient}, without parameters that have none."""
        return {
            name: math.sqrt(squared_norm(p.grad._array))
            for name, p in self.model.named_parameters()
            if p.grad is not None
        }

    @property
    def total(self) -> float:
        """The L2 norm of all gradients as one vector; 0 if there are none."""
        return math.hypot(*self.norms().values())

    def histograms(self, bins: int = 64) -> dict[str, Histogram]:
        """{name: the histogram of the parameter's gradient}, without parameters that have none."""
        return {name: Histogram.of(p.grad, bins) for name, p in self.model.named_parameters() if p.grad is not None}

    def verdict(
        self,
        vanishing: float = 1e-4,
        exploding: float = 1e4,
        limit: float = 1e6,
        norms: Mapping[str, float] | None = None,
    ) -> list[str]:
        """The problems with the gradients, one sentence for each layer; empty if there are none.

        It compares the root mean square r = ‖g‖ / √n of each layer's trainable weights (parameters with two or more
        axes; biases only if there is nothing else) with r₀, that of the last layer, from which the gradients come. The
        layers are taken in the order of ``named_parameters``: their depth, if a model defines its layers in the order
        of use.

        Args:
            vanishing: a gradient with r < vanishing · r₀ vanishes.
            exploding: a gradient with r > exploding · r₀ explodes.
            limit: so does one with r > limit, or that is NaN or infinite.
            norms: {name: norm}, such as means over several batches, instead of the current gradients.
        """
        norms = self.norms() if norms is None else norms
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        layers = [(name, p) for name, p in trained if p.ndim >= 2] or trained
        sizes = {name: norms[name] / math.sqrt(p.numel()) for name, p in layers if name in norms and p.numel()}
        told = [
            f"{name}: no gradient at all: the loss does not depend on it" for name, _ in layers if name not in norms
        ]
        nearest = next((name for name in reversed(sizes) if 0 < sizes[name] < math.inf), None)
        for name, size in sizes.items():
            text = f"{name}: gradient of {size:.2g} per element (rms)"
            if not math.isfinite(size):
                told.append(f"{text}: exploding")
            elif size == 0:
                told.append(f"{name}: gradient of exactly 0, nothing comes back to it: vanishing")
            elif size > limit:
                told.append(f"{text}, above {limit:.2g}: exploding")
            elif nearest is not None and size < vanishing * sizes[nearest]:
                told.append(f"{text}, {sizes[nearest] / size:.2g} times smaller than that of {nearest}: vanishing")
            elif nearest is not None and size > exploding * sizes[nearest]:
                told.append(f"{text}, {size / sizes[nearest]:.2g} times larger than that of {nearest}: exploding")
        return told
