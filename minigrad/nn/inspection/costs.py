"""The multiply-adds and the receptive field of a layer.

**Multiply-adds.** One is a b + c. Counted are the sums of products in a layer's equation, for its input and output
shapes, whatever the kernel does:

| layer | multiply-adds |
|---|---|
| Linear | outputs · in_features |
| Conv | outputs · in_channels / groups · elements of the kernel; zeros of the padding count |
| ConvTranspose | inputs · out_channels / groups · elements of the kernel |
| AvgPool, LPPool | outputs · elements of the window |
| AdaptiveAvgPool | the elements of all windows |
| BatchNorm, InstanceNorm with running statistics | elements: in evaluation y = a x + b with known a and b |
| LayerNorm, GroupNorm, InstanceNorm | 3 · elements: Σ x, Σ x², a x + b |
| RMSNorm | 2 · elements: Σ x², a x |
| LocalResponseNorm | elements · (size + 1): Σ x² over the channels, a x |
| Upsample, linear modes | 2 · elements after each axis: two neighbours |

A bias costs nothing: the sum starts with it. Nor does anything else with at most one operation per element
(activations, dropout, max-pooling, padding, flattening, an embedding's look-up), whose time is that of memory access.

**Receptive field.** The window of the input that one output depends on. If neighbouring outputs of a layer are ``jump``
input elements apart and each depends on ``size`` of them, then after a layer with kernel k, stride s and dilation d

    size ← size + d (k − 1) · jump,      jump ← jump · s

starting from size = jump = 1 at the input. Elementwise layers change neither; nor do normalizations, whose
statistics are taken as given. After any other layer (flattening, adaptive pooling, upsampling) it is not defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ... import nn

Shape = tuple[int, ...]
Rule = Callable[[Any, Shape, Shape], int]  # (layer, input shape, output shape) → multiply-adds


def per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """A setting of a layer, one number or one for each axis, as a tuple with one for each axis."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


# --- multiply-adds ---------------------------------------------------------------------------------------------------


def _per_output(layer: Any, x: Shape, y: Shape) -> int:
    return math.prod(y) * math.prod(layer.weight.shape[1:])  # weight: (out, in / groups, *kernel)


def _per_input(layer: Any, x: Shape, y: Shape) -> int:
    return math.prod(x) * math.prod(layer.weight.shape[1:])  # weight: (in, out / groups, *kernel)


def _windows(axes: int) -> Rule:
    return lambda layer, x, y: math.prod(y) * math.prod(per_axis(layer.kernel_size, axes))


def _adaptive(axes: int) -> Rule:
    def rule(layer: Any, x: Shape, y: Shape) -> int:
        count = math.prod(y[:-axes])
        for n, m in zip(x[-axes:], y[-axes:], strict=True):
            count *= sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))  # window i: ⌊i n/m⌋ to ⌈(i + 1) n/m⌉
        return count

    return rule


def _per_element(times: int) -> Rule:
    return lambda layer, x, y: times * math.prod(x)


def _instance_norm(layer: Any, x: Shape, y: Shape) -> int:
    return (1 if layer.track_running_stats else 3) * math.prod(x)


def _upsample(layer: Any, x: Shape, y: Shape) -> int:
    if layer.mode.startswith("nearest"):
        return 0
    done, count = list(x), 0
    for axis in range(len(x) - 1, 1, -1):  # the last axis first
        done[axis] = y[axis]
        count += 2 * math.prod(done)
    return count


RULES: dict[type, Rule] = {
    nn.Linear: _per_output,
    nn.Conv1d: _per_output,
    nn.Conv2d: _per_output,
    nn.ConvTranspose1d: _per_input,
    nn.ConvTranspose2d: _per_input,
    nn.AvgPool1d: _windows(1),
    nn.AvgPool2d: _windows(2),
    nn.LPPool1d: _windows(1),
    nn.LPPool2d: _windows(2),
    nn.AdaptiveAvgPool1d: _adaptive(1),
    nn.AdaptiveAvgPool2d: _adaptive(2),
    nn.BatchNorm1d: _per_element(1),
    nn.BatchNorm2d: _per_element(1),
    nn.InstanceNorm1d: _instance_norm,
    nn.InstanceNorm2d: _instance_norm,
    nn.LayerNorm: _per_element(3),
    nn.GroupNorm: _per_element(3),
    nn.RMSNorm: _per_element(2),
    nn.LocalResponseNorm: lambda layer, x, y: (layer.size + 1) * math.prod(x),
    nn.Upsample: _upsample,
}


def multiply_adds(layer: nn.Module, x: Shape, y: Shape, more: Mapping[type, Rule]) -> int | None:
    """The multiply-adds of one call of a layer; None if they are not known.

    The rule is that of the nearest class among the layer's ancestors, the user's rules (``more``) first. minigrad's
    other layers cost 0, and so do modules that only call others; what those compute themselves is not counted.
    """
    for kind in type(layer).__mro__:
        rule = more.get(kind) or RULES.get(kind)
        if rule is not None:
            return rule(layer, x, y)
    known = any(kind.__module__.startswith(nn.__name__ + ".") for kind in _ancestors(layer))
    calls_others = bool(layer._modules) and not layer._parameters
    return 0 if known or calls_others else None


def _ancestors(layer: nn.Module) -> list[type]:
    """The classes of a layer, up to but without Module."""
    order = type(layer).__mro__
    return list(order[: order.index(nn.Module)])


# --- the receptive field ---------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """The receptive field of one output along each axis, or along all axes if there is only one number."""

    size: tuple[int, ...] = (1,)
    jump: tuple[int, ...] = (1,)


WINDOWS: dict[type, int] = {  # layers whose outputs depend on windows, and along how many axes
    nn.Conv1d: 1,
    nn.Conv2d: 2,
    nn.MaxPool1d: 1,
    nn.MaxPool2d: 2,
    nn.AvgPool1d: 1,
    nn.AvgPool2d: 2,
    nn.LPPool1d: 1,
    nn.LPPool2d: 2,
}

# Files of elementwise layers
_ELEMENTWISE = tuple(f"{nn.__name__}.modules.{name}" for name in ("activation", "dropout", "normalization", "padding"))


def window_axes(layer: nn.Module) -> int:
    """The number of axes along which the layer's outputs depend on windows; 0 for other layers."""
    return next((axes for kind, axes in WINDOWS.items() if isinstance(layer, kind)), 0)


def field_after(layer: nn.Module, before: Field) -> Field | None:
    """The receptive field after a layer, from the one before it; None where it is not defined."""
    axes = window_axes(layer)
    if not axes:
        alone = any(kind.__module__ in _ELEMENTWISE for kind in _ancestors(layer)) or isinstance(layer, nn.Identity)
        return before if alone and not isinstance(layer, (nn.Softmax, nn.LogSoftmax)) else None
    if len(before.size) not in (1, axes):
        return None
    size, jump = per_axis(before.size, axes), per_axis(before.jump, axes)
    if len(before.size) == 1:
        size, jump = before.size * axes, before.jump * axes
    settings: Any = layer
    kernel = per_axis(settings.kernel_size, axes)
    stride = kernel if settings.stride is None else per_axis(settings.stride, axes)
    dilation = per_axis(getattr(layer, "dilation", 1), axes)
    return Field(
        tuple([n + d * (k - 1) * j for n, j, k, d in zip(size, jump, kernel, dilation, strict=True)]),
        tuple([j * s for j, s in zip(jump, stride, strict=True)]),
    )
