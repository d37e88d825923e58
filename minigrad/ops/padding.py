"""Padding: a frame around the last axes of a tensor, of a constant or of the tensor's own elements.

A frame of a constant does not depend on x, so its gradient is dropped. A frame of x's own elements reads them a second
time, and gradients of uses add up: what forward copies into the frame, its rule folds back onto where it came from.
"""

from __future__ import annotations

from typing import Any

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace
from ..errors import ShapeError
from .common import tensor_of
from .shape import sizes_of
from .sums import total

Widths = tuple[tuple[int, int], ...]  # (before, after) of each axis

OWN_ELEMENTS = ("reflect", "replicate", "circular")


class PadConstant(Op):
    """x within a frame of ``value``; negative widths crop.   dx: the part of dy inside the frame."""

    @staticmethod
    def forward(ctx: Any, x: Any, widths: Widths, value: float) -> Any:
        ctx.widths = widths
        shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
        y = namespace(x).full(shape, value, dtype=x.dtype)
        target = tuple([slice(max(a, 0), m - max(b, 0)) for m, (a, b) in zip(shape, widths, strict=True)])
        source = tuple([slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True)])
        y[target] = x[source]
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        back = tuple([(-a, -b) for a, b in ctx.widths])
        if isinstance(dy, Variable):
            return PadConstant.apply(dy, back, 0.0)
        if all(a >= 0 and b >= 0 for a, b in ctx.widths):
            return dy[middle_of(dy.shape, ctx.widths)]
        return PadConstant.forward(Op(), dy, back, 0.0)


class PadOwn(Op):
    """x within a frame of its own elements: mirrored ("reflect"), the edge again ("replicate"), or those of the other
    end ("circular").

    Along one axis, with x = (x₀ … xₙ₋₁) and widths a before, b after,

        reflect      y = xₐ … x₂ x₁ | x₀ x₁ … xₙ₋₁ | xₙ₋₂ xₙ₋₃ … xₙ₋₁₋b
        replicate    y = x₀ … x₀ x₀ | x₀ x₁ … xₙ₋₁ | xₙ₋₁ xₙ₋₁ … xₙ₋₁
        circular     y = xₙ₋ₐ … xₙ₋₁ | x₀ x₁ … xₙ₋₁ | x₀ x₁ … x_b₋₁

    Axes are padded one after the other, so a corner is padding of padding. Each step is a linear map that copies; its
    transpose adds every copy to its original, and the transpose of several steps takes them in reverse order:
    dx = :class:`FoldOwn` (dy). The two ops are each other's rule, for derivatives of any order.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, widths: Widths, mode: str) -> Any:
        ctx.widths, ctx.mode = widths, mode
        shape = tuple([n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)])
        y = namespace(x).empty(shape, x.dtype)
        y[middle_of(shape, widths)] = x
        # Rows are filled over their full length, corners included; the corners get their values with the later axis.
        for frame, source in copies(shape, widths, mode):
            y[frame] = y[source]
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if isinstance(dy, Variable):
            return FoldOwn.apply(dy, ctx.widths, ctx.mode)
        return FoldOwn.forward(Op(), dy, ctx.widths, ctx.mode)


class FoldOwn(Op):
    """The frame of :class:`PadOwn` taken off and each of its elements added to the one it was a copy of.

    It is linear, and the transpose of PadOwn; so its rule is PadOwn.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, widths: Widths, mode: str) -> Any:
        ctx.widths, ctx.mode = widths, mode
        g = namespace(x).array(x)
        for frame, source in reversed(copies(g.shape, widths, mode)):
            if mode == "replicate":
                axis = next(i for i, part in enumerate(frame) if part != slice(None))
                g[source] += total(g[frame], axis, True)  # one element, a or b copies
            else:
                g[source] += g[frame]
        return g[middle_of(g.shape, widths)].copy()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if isinstance(dy, Variable):
            return PadOwn.apply(dy, ctx.widths, ctx.mode)
        return PadOwn.forward(Op(), dy, ctx.widths, ctx.mode)


def middle_of(shape: tuple[int, ...], widths: Widths) -> tuple[slice, ...]:
    """Where x lies in its padded form of this ``shape``."""
    return tuple([slice(a, n - b) for n, (a, b) in zip(shape, widths, strict=True)])


def copies(shape: tuple[int, ...], widths: Widths, mode: str) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """(places in the frame, where they are copied from), in the order in which an array of ``shape`` is filled."""
    found = []
    for axis, (m, (a, b)) in enumerate(zip(shape, widths, strict=True)):
        lead = (slice(None),) * axis
        if mode == "reflect":
            stop = m - 2 * b - 2
            before, after = slice(2 * a, a, -1), slice(m - b - 2, stop if stop >= 0 else None, -1)
        elif mode == "replicate":
            before, after = slice(a, a + 1), slice(m - b - 1, m - b)
        else:
            before, after = slice(m - b - a, m - b), slice(a, a + b)
        if a:
            found.append(((*lead, slice(0, a)), (*lead, before)))
        if b:
            found.append(((*lead, slice(m - b, m)), (*lead, after)))
    return found


# --- the function users call -----------------------------------------------------------------------------------------


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """A frame around the last axes: ``pad`` = (left, right, top, bottom, front, back), last axis first.

    Negative widths crop. ``mode`` says what the frame holds:

    - "constant": ``value``, 0 by default; any number of axes.
    - "reflect": the tensor mirrored at its edge, which is not repeated: widths less than the axis is long.
    - "replicate": the edge repeated.
    - "circular": the tensor again, from its other end: widths at most as long as the axis.

    The last three, as in PyTorch, pad the last axis of an input (C, W) or (N, C, W), the last two of (C, H, W) or
    (N, C, H, W), or the last three of (C, D, H, W) or (N, C, D, H, W). Source: torch.nn.functional.pad.

    Raises:
        ShapeError: an odd number of widths, more than the tensor has axes for, or widths that the mode cannot fill.
        ValueError: an unknown mode, or a ``value`` for a mode that takes none.
    """
    shape = tensor_of(input, "pad")._array.shape
    widths = sizes_of((pad,), "pad")
    if len(widths) % 2 or len(widths) > 2 * len(shape):
        raise ShapeError(
            f"pad: expected 2 widths for each of up to {len(shape)} axes of shape {shape}, last axis first; "
            f"got {len(widths)}: {widths}"
        )
    if mode != "constant" and mode not in OWN_ELEMENTS:
        raise ValueError(f"pad: mode must be 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    pairs = [(widths[i], widths[i + 1]) for i in range(0, len(widths), 2)][::-1]
    full = tuple([(0, 0)] * (len(shape) - len(pairs)) + pairs)
    if mode == "constant":
        _refuse_crop(shape, full, widths)
        return PadConstant.apply(input, full, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(
            f"pad: mode {mode!r} fills the frame with the tensor's own elements and takes no value; got value={value}"
        )
    _refuse_shape(shape, len(pairs), mode)
    grown = tuple([(max(a, 0), max(b, 0)) for a, b in full])
    cropped = tuple([(min(a, 0), min(b, 0)) for a, b in full])
    if mode == "circular":  # the other end is that of the cropped tensor; mirrors and edges are those of the whole
        return _grow(_crop(input, cropped, widths), grown, mode)
    return _crop(_grow(input, grown, mode), cropped, widths)


def _grow(x: Any, widths: Widths, mode: str) -> Any:
    shape = x._array.shape
    for axis, (n, (a, b)) in enumerate(zip(shape, widths, strict=True)):
        limit = n - 1 if mode == "reflect" else n
        if max(a, b) > max(limit, 0) and mode != "replicate":
            raise ShapeError(
                f"pad: mode {mode!r} takes widths from 0 to {limit} on axis {axis} of shape {shape} "
                f"({'its edge is not repeated' if mode == 'reflect' else 'once round'}), got {(a, b)}"
            )
    return PadOwn.apply(x, widths, mode)


def _crop(x: Any, widths: Widths, asked: tuple[int, ...]) -> Any:
    if not any(a or b for a, b in widths):
        return x
    _refuse_crop(x._array.shape, widths, asked)
    return PadConstant.apply(x, widths, 0.0)


def _refuse_crop(shape: tuple[int, ...], widths: Widths, asked: tuple[int, ...]) -> None:
    if any(n + min(a, 0) + min(b, 0) < 0 for n, (a, b) in zip(shape, widths, strict=True)):
        raise ShapeError(f"pad: widths {asked} crop more than shape {shape} has")


def _refuse_shape(shape: tuple[int, ...], padded: int, mode: str) -> None:
    if padded not in (1, 2, 3) or len(shape) not in (padded + 1, padded + 2):
        raise ShapeError(
            f"pad: mode {mode!r} takes 2 widths for shapes (C, W) or (N, C, W), 4 for (C, H, W) or (N, C, H, W), 6 for "
            f"(C, D, H, W) or (N, C, D, H, W); got {2 * padded} widths for shape {shape}"
        )
    batched = len(shape) == padded + 2
    if mode != "circular" and 0 in shape[1 if batched else 0 :]:
        raise ShapeError(
            f"pad: mode {mode!r} needs elements to fill the frame with; only the batch axis may be 0, got shape {shape}"
        )
