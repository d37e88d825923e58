"""How a custom layer is tested: its gradients, its agreement with the library's layer, its time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.autograd.gradcheck import GradcheckError

from . import custom_layers as own
from .faster_rules import Convolution

Tensor = minigrad.Tensor
SMALL, LARGE = (4, 3, 32, 32), (128, 16, 32, 32)  # the report's input, and one on which the arithmetic takes the time
MOST = 1.3  # times the twin's time, for the same work


@dataclass(frozen=True)
class Trial:
    """A layer of one's own beside one of the library.

    Args:
        make: the layer, for so many channels.
        twin: what it is timed against, for so many channels.
        same: what it must agree with, if that is not the twin.
        like: whether the twin does the same work, so that the times can be held against each other.
        parameters, times: what the report says: parameters, and milliseconds (custom, standard) if there are any.
    """

    make: Callable[[int], nn.Module]
    twin: Callable[[int], nn.Module]
    same: Callable[[int], nn.Module] | None = None
    like: bool = True
    parameters: int = 0
    times: tuple[float, float] | None = None


def _convolution(channels: int) -> nn.Module:
    return nn.Conv2d(channels, 8, 3, padding=1)


def _silu(channels: int) -> nn.Module:
    return nn.SiLU()


def _normalized(channels: int) -> nn.Module:
    return nn.NormalizedSwish()


TRIALS = {
    "CustomConv2d": Trial(lambda c: own.CustomConv2d(c, 8, 3, 1), _convolution, parameters=224, times=(146.0, 1.0)),
    "CustomConv2d, by nn.grad": Trial(
        lambda c: own.CustomConv2d(c, 8, 3, 1, Convolution), _convolution, parameters=224
    ),
    "CustomConv2d, by the book": Trial(
        lambda c: own.CustomConv2d(c, 8, 3, 1, own.MatrixConvolution), _convolution, parameters=224
    ),
    "SpatialAttention": Trial(
        lambda c: own.SpatialAttention(), lambda c: nn.SpatialAttention(), parameters=99, times=(31.0, 1.0)
    ),
    "SpatialAttention, by hand": Trial(
        lambda c: own.SpatialAttentionByHand(), lambda c: nn.SpatialAttention(), parameters=99
    ),
    "NormalizedSwish": Trial(lambda c: own.NormalizedSwish(), _silu, _normalized, like=False, times=(1.0, 3.0)),
    "NormalizedSwish, by the book": Trial(lambda c: own.NormalizedSwish(own.ToOne), _silu, _normalized, like=False),
    "nn.NormalizedSwish": Trial(_normalized, _silu, _normalized, like=False),
    "LPPooling2d": Trial(lambda c: own.LPPooling2d(3, 2), lambda c: nn.LPPool2d(3, 2), times=(43.0, 1.0)),
    "LPPooling2d, by the book": Trial(lambda c: own.LPPooling2d(3, 2, own.LpPool), lambda c: nn.LPPool2d(3, 2)),
}


def pair(trial: Trial, channels: int, device: str = "cpu", same: bool = False) -> tuple[nn.Module, nn.Module]:
    """The layer and its twin with equal weights; with `same` the layer that it must agree with."""
    custom = trial.make(channels).to(device)
    twin = ((same and trial.same) or trial.twin)(channels).to(device)
    if custom.state_dict():
        twin.load_state_dict(custom.state_dict())
    return custom, twin


# ------------------------------------------------------------------------------------------- are its gradients right?


def checked(layer: nn.Module, again: bool = False) -> str:
    """What `gradcheck` says of input and parameters in float64: "" if it passes, else its report.

    With `again`: what `gradgradcheck` says, of the second derivatives.
    """
    x = minigrad.randn(2, 3, 6, 6, dtype=minigrad.float64, requires_grad=True)
    layer = layer.to(minigrad.float64)
    names = [name for name, _ in layer.named_parameters()]

    def output(x: Tensor, *values: Tensor) -> Any:
        for name, value in zip(names, values, strict=True):  # gradcheck moves the parameters, too
            module, _, parameter = name.rpartition(".")
            delattr(layer.get_submodule(module), parameter)
            setattr(layer.get_submodule(module), parameter, value)
        return layer(x)

    try:
        (gradgradcheck if again else gradcheck)(output, (x, *layer.parameters()))
    except (GradcheckError, minigrad.GraphError) as error:
        return str(error)
    return ""


@dataclass
class Gradients:
    """Of one layer's output, weighted by a random upstream gradient, with respect to its input, element by element."""

    x: list[float]
    rule: list[float]  # what backward hands back
    doubled: list[float]  # and for twice the loss
    differences: list[float]  # (L(x + h) − L(x − h)) / 2h
    exact: list[float]  # by the engine, of the same function made of ops


def gradients(layer: nn.Module, exact: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor) -> Gradients:
    """Four answers to one question: what is ∂L/∂x for L = Σ upstream · layer(x), x (N,) of float64?"""

    def slope(function: Callable[[Tensor], Tensor], weight: Tensor) -> list[float]:
        leaf = x.clone().requires_grad_()
        (found,) = minigrad.autograd.grad((function(leaf) * weight).sum(), [leaf])
        return list(found.tolist())

    differences, h = [], 1e-6
    for i in range(len(x)):
        step = minigrad.zeros_like(x)
        step[i] = h
        rise = ((layer(x + step) - layer(x - step)) * upstream).sum().item()
        differences.append(rise / (2 * h))
    return Gradients(
        x.tolist(), slope(layer, upstream), slope(layer, 2 * upstream), differences, slope(exact, upstream)
    )


# --------------------------------------------------------------------------------------- does it do the library's work?


def apart(trial: Trial, shape: tuple[int, ...] = SMALL, device: str = "cpu") -> tuple[float, float]:
    """The largest difference of the outputs, and of all gradients, for a random input and upstream gradient."""
    answers = []
    x, upstream = minigrad.randn(*shape, device=device), None
    for layer in pair(trial, shape[1], device, same=True):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        if upstream is None:
            upstream = minigrad.randn(*y.shape, device=device)
        y.backward(upstream)
        answers.append([y, leaf.grad, *(p.grad for p in layer.parameters())])
    outputs, *rest = [float((a - b).abs().max()) for a, b in zip(*answers, strict=True)]
    return outputs, max(rest)


# ------------------------------------------------------------------------------------------------- what does it cost?


@dataclass
class Times:
    """Seconds of many calls of a layer (custom) and its twin, in turn; forward, and forward and backward."""

    forward: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # (custom, twin), (rounds,) each
    both: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
    shape: tuple[int, ...] = field(default=SMALL)

    def ratio(self, which: str = "both") -> float:
        """How many times the twin's time it takes, by the fastest calls: those that other programs disturbed least."""
        custom, twin = getattr(self, which)
        return float(custom.min() / twin.min())


def timed(trial: Trial, shape: tuple[int, ...], rounds: int, warm_up: int, device: str = "cpu") -> Times:
    """Both layers in turn, so that a slow moment of the machine hits both; the order changes from round to round.

    The first calls, in which kernels are loaded and memory is asked for, are not counted, and the garbage collector
    waits.
    """
    layers = pair(trial, shape[1], device)
    xs = [minigrad.randn(*shape, device=device, requires_grad=True) for _ in layers]
    with minigrad.no_grad():
        upstream = [minigrad.randn(*layer(x).shape, device=device) for layer, x in zip(layers, xs, strict=True)]
    seconds = np.empty((2, 2, warm_up + rounds))  # (forward or both, layer, round)
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for i in range(warm_up + rounds):
            for which in (0, 1) if i % 2 else (1, 0):
                seconds[:, which, i] = _once(layers[which], xs[which], upstream[which], device)
    finally:
        if collecting:
            gc.enable()
    forward, both = seconds[:, :, warm_up:]
    return Times((forward[0], forward[1]), (both[0], both[1]), shape)


def _once(layer: nn.Module, x: Tensor, upstream: Tensor, device: str) -> tuple[float, float]:
    """Seconds of a forward pass, and of that and a backward pass."""
    x.grad = None
    layer.zero_grad()
    wait(device)
    started = time.perf_counter()
    y = layer(x)
    wait(device)
    forward = time.perf_counter() - started
    y.backward(upstream)
    wait(device)
    return forward, time.perf_counter() - started


def wait(device: str) -> None:
    """Until a GPU has done what it was told: it is told without waiting."""
    if device != "cpu":
        minigrad.cuda.synchronize()


def quartiles(seconds: Sequence[float] | np.ndarray[Any, Any]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile."""
    low, middle, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def slower(times: Mapping[str, Times], trials: Mapping[str, Trial] = TRIALS) -> list[str]:
    """The layers that take more than MOST times the time of a twin that does the same work; those by the book aside."""
    return [
        name for name, of in times.items() if trials[name].like and trials[name].times is not None and of.ratio() > MOST
    ]
