"""Measures weights by layer: their distribution, and how far they have moved."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...nn import Module
from ...tensor import Tensor
from .histogram import Histogram, squared_norm


class WeightProbe:
    """Reads a model's parameters, and measures how far they have moved since a mark.

        probe = WeightProbe(model)
        probe.mark()
        optimizer.step()
        print(probe.ratio)                       # ‖Δw‖ / ‖w‖ of this step
        print(probe.histograms()["fc1.weight"].std)

    For a single step, the ratio shows whether the learning rate fits: about 1e-3 is usual, 1e-5 hardly learns, 1e-1 is
    unstable. Parameters are known by their names in ``model.named_parameters()``.
    Nothing is changed.

    Attributes:
        marked: {name: the parameter's values at the last :meth:`mark`}; copies, which are never written to. It may be
            set, to go on from a mark that was saved.
    """

    def __init__(self, model: Module) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"WeightProbe: model is a {type(model).__name__}, expected an nn.Module")
        self.model = model
        self.marked: Mapping[str, Tensor] = {}

    def histograms(self, bins: int = 64) -> dict[str, Histogram]:
        """{name: the parameter's histogram}, which also has mean, std and norm."""
        return {name: Histogram.of(p, bins) for name, p in self.model.named_parameters()}

    def mark(self) -> None:
        """Keep a copy of the current weights."""
        self.marked = {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def changes(self) -> dict[str, float]:
        """{name: ‖w − w₀‖₂}, w₀ being the marked values. Raises RuntimeError without a mark."""
        return {name: math.sqrt(moved) for name, (moved, _) in self._squares().items()}

    def ratios(self) -> dict[str, float]:
        """{name: ‖w − w₀‖₂ / ‖w₀‖₂}; NaN where the marked values are all 0. Raises RuntimeError without a mark."""
        return {name: _ratio(*squares) for name, squares in self._squares().items()}

    @property
    def change(self) -> float:
        """‖w − w₀‖₂ of all parameters as one vector. Raises RuntimeError without a mark."""
        return math.hypot(*self.changes().values())

    @property
    def ratio(self) -> float:
        """‖w − w₀‖₂ / ‖w₀‖₂ of all parameters as one vector. Raises RuntimeError without a mark."""
        squares = self._squares().values()
        return _ratio(math.fsum(moved for moved, _ in squares), math.fsum(before for _, before in squares))

    def _squares(self) -> dict[str, tuple[float, float]]:
        """{name: (‖w − w₀‖², ‖w₀‖²)}"""
        if not self.marked:
            raise RuntimeError("WeightProbe: nothing to compare with; call mark() before the weights move")
        found = {}
        for name, p in self.model.named_parameters():
            before = self.marked.get(name)
            if before is None or before.shape != p.shape:
                was = "was not there" if before is None else f"had shape {tuple(before.shape)}"
                raise ValueError(f"WeightProbe: {name} has shape {tuple(p.shape)}, when marked it {was}")
            old = before.to(p.device)._array
            found[name] = squared_norm(p._array - old), squared_norm(old)
        return found


def _ratio(moved: float, before: float) -> float:
    return math.sqrt(moved) / math.sqrt(before) if before else math.nan
