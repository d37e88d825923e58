"""Validates the Trainer's arguments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..devices import device as Device
from ..nn import Module
from ..optim import Optimizer
from .callback import EVENTS, Callback
from .streaming import Metric


def checked_callbacks(callbacks: Any) -> list[Callback]:
    """Raises TypeError for an item that is not a Callback, ValueError for one with a method for an unknown event."""
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"Trainer: callbacks is {callbacks!r}, expected a list of Callbacks")
    given = list(callbacks)
    for callback in given:
        if not isinstance(callback, Callback):
            raise TypeError(f"Trainer: a callback is {callback!r}, expected a Callback{_instance_hint(callback)}")
        for name in dir(type(callback)):
            if name.startswith("on_") and name not in EVENTS:
                near = difflib.get_close_matches(name, EVENTS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"Trainer: {callback!r} listens to {name}, which is no event{hint}")
    return given


def check_optimizer(optimizer: Any, model: Module) -> None:
    """Raises TypeError if it is not an Optimizer, ValueError if it would not train the model."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"Trainer: optimizer is a {type(optimizer).__name__}, expected an Optimizer")
    own = {id(parameter) for parameter in model.parameters()}
    if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
        raise ValueError(
            "Trainer: optimizer holds none of the model's parameters; was the model made anew after the optimizer?"
        )


def checked_metrics(metrics: Any) -> dict[str, Metric]:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"Trainer: metrics is a {type(metrics).__name__}, expected {{name: Metric}}")
    for name, metric in (metrics or {}).items():
        if not isinstance(metric, Metric):
            raise TypeError(f"Trainer: the metric {name!r} is {metric!r}, expected a Metric{_instance_hint(metric)}")
        if name in ("loss", "epoch") or name.startswith("val_"):
            raise ValueError(f"Trainer: a metric cannot be called {name!r}; the trainer logs that itself")
    return dict(metrics or {})


def _instance_hint(given: Any) -> str:
    return f"; make an instance: {given.__name__}(...)" if isinstance(given, type) else ""


def device_of(model: Module) -> Any:
    """The device of its tensors; the CPU if it has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return Device("cpu")


def not_logged(who: str, name: str, logged: list[str]) -> str:
    """The message for a metric that is not logged, with the names nearest to it that are."""
    near = difflib.get_close_matches(name, logged, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    if name.startswith("val_") and name.removeprefix("val_") in logged:
        hint = "it needs a val_loader. "
    return f"{who}: {name!r} is not logged; {hint}There are: {', '.join(logged)}"
