"""Ops that move elements without changing them.

Where an element only changes its place, its gradient goes back to where it came from: each rule is the inverse move.
Where an element is used several times (expand, repeat), the gradients of its copies add up. Reshape, permute and
expand give views: the result shows the same memory as the input.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import ShapeError
from . import elementwise
from .common import axes_of, axis_of, promote, sum_to, tensor_of
from .elementwise import Where
from .indexing import PutAt
from .sums import total


class Reshape(Op):
    """The same elements, in the same order, under another shape.   dx = dy in x's shape."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return x.reshape(shape)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy.reshape(ctx.shape)

    @staticmethod
    def check(x: Any, shape: tuple[int, ...]) -> None:
        raise ShapeError(
            f"reshape: shape {shape} cannot hold the {x.size} elements of shape {x.shape}"
            + ("; only one size may be -1" if sum(n == -1 for n in shape) > 1 else "")
        )


class Permute(Op):
    """Axes in another order: axis i of y is axis axes[i] of x.   dx: dy with the order undone."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...]) -> Any:
        ctx.axes = axes
        return x.transpose(axes)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        inverse = sorted(range(len(ctx.axes)), key=ctx.axes.__getitem__)
        return namespace(dy).transpose(dy, tuple(inverse))


class Expand(Op):
    """y = x repeated along axes of size 1, without copying.   dx = dy summed over the copies."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        y = namespace(x).broadcast_to(x, shape)
        if isinstance(y, np.ndarray) and x.flags.writeable:
            y.flags.writeable = True  # NumPy locks it; which changes are allowed is the tensor's business
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return sum_to(dy, ctx.shape)

    @staticmethod
    def check(x: Any, shape: tuple[int, ...]) -> None:
        raise ShapeError(f"expand: shape {x.shape} cannot be expanded to {shape}: only axes of size 1 can be repeated")


class Diagonal(Op):
    """y = the elements whose places along two axes are i and i + offset, i running along a new last axis.
    dx = dy at those places, zeros elsewhere."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
        ctx.shape, ctx.places = x.shape, (offset, axis1, axis2)
        y = x.diagonal(offset, axis1, axis2)
        if isinstance(y, np.ndarray) and x.flags.writeable:
            y.flags.writeable = True  # NumPy locks this one, too
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if isinstance(dy, Variable):
            return PutDiagonal.apply(dy, ctx.shape, *ctx.places)
        return PutDiagonal.forward(Op(), dy, ctx.shape, *ctx.places)


class PutDiagonal(Op):
    """y = zeros with x on the diagonal of two axes.   dx = that diagonal of dy."""

    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
        ctx.places = (offset, axis1, axis2)
        y = namespace(x).zeros(shape, x.dtype)
        Diagonal.forward(Op(), y, offset, axis1, axis2)[...] = x
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return Diagonal.apply(dy, *ctx.places) if isinstance(dy, Variable) else dy.diagonal(*ctx.places)


class Repeat(Op):
    """y = x laid ``times[i]`` times along axis i.   (…, rᵢ·nᵢ, …) → (…, rᵢ, nᵢ, …) summed over each rᵢ."""

    @staticmethod
    def forward(ctx: Any, x: Any, times: tuple[int, ...]) -> Any:
        ctx.shape, ctx.times = x.shape, times
        return namespace(x).tile(x, times)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        sizes = (1,) * (len(ctx.times) - len(ctx.shape)) + ctx.shape
        split = tuple(n for pair in zip(ctx.times, sizes, strict=True) for n in pair)
        return total(dy.reshape(split), tuple(range(0, len(split), 2))).reshape(ctx.shape)


class Cat(Op):
    """Tensors joined along an axis.   Each gets the slice of dy that it filled."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        *xs, axis = args
        ctx.axis, ctx.sizes = axis, [x.shape[axis] for x in xs]
        return namespace(xs[0]).concatenate(xs, axis=axis)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        grads, start = [], 0
        for i, n in enumerate(ctx.sizes):
            index = (slice(None),) * ctx.axis + (slice(start, start + n),)
            grads.append(dy[index] if ctx.needs(i) else None)
            start += n
        return tuple(grads)

    @staticmethod
    def check(*args: Any) -> None:
        *xs, axis = args
        raise ShapeError(
            f"cat: all tensors must agree except along dim {axis}, got shapes " + ", ".join(str(x.shape) for x in xs)
        )


class Stack(Op):
    """Tensors of one shape laid along a new axis.   Each gets its slice of dy."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        *xs, axis = args
        ctx.axis = axis
        return namespace(xs[0]).stack(xs, axis=axis)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        front = (slice(None),) * ctx.axis
        return tuple(dy[(*front, i)] if ctx.needs(i) else None for i in range(dy.shape[ctx.axis]))

    @staticmethod
    def check(*args: Any) -> None:
        raise ShapeError("stack: all tensors must have one shape, got " + ", ".join(str(x.shape) for x in args[:-1]))


class Flip(Op):
    """x read backwards along some axes.   dx: dy read backwards."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...]) -> Any:
        ctx.axes = axes
        return namespace(x).flip(x, axes).copy()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return namespace(dy).flip(dy, ctx.axes)


class Roll(Op):
    """x moved along axes, what falls off one end entering at the other.   dx: dy moved the other way."""

    @staticmethod
    def forward(ctx: Any, x: Any, shifts: Any, axes: Any) -> Any:
        ctx.shifts, ctx.axes = shifts, axes
        return namespace(x).roll(x, shifts, axes)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        back = tuple(-s for s in ctx.shifts) if isinstance(ctx.shifts, tuple) else -ctx.shifts
        return namespace(dy).roll(dy, back, ctx.axes)


# --- the functions users call ----------------------------------------------------------------------------------------


def sizes_of(args: tuple[Any, ...], name: str) -> tuple[int, ...]:
    """``f(2, 3)`` or ``f((2, 3))`` → (2, 3)."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        return tuple(operator.index(n) for n in args)
    except TypeError:
        raise TypeError(f"{name}: sizes must be integers, got {args}") from None


def reshape(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """The same elements under another shape; one size may be -1. A view where the memory allows."""
    sizes = sizes_of(sizes if shape is None else (shape,), "reshape")
    if sizes and min(sizes) < -1:  # NumPy takes any negative number for -1
        raise ShapeError(f"reshape: sizes must not be negative, except one that is -1, got {sizes}")
    return Reshape.apply(tensor_of(input, "reshape"), sizes)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes ``start_dim`` to ``end_dim`` made one; the tensor itself where that is one already."""
    shape = tensor_of(input, "flatten")._array.shape
    if not shape:
        return reshape(input, 1)
    a, b = axis_of(start_dim, len(shape), "flatten"), axis_of(end_dim, len(shape), "flatten")
    if a > b:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {shape}")
    if a == b:
        return input
    size = 1
    for n in shape[a : b + 1]:
        size *= n
    return Reshape.apply(input, (*shape[:a], size, *shape[b + 1 :]))


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """Axis ``dim`` split into several."""
    shape = tensor_of(input, "unflatten")._array.shape
    d = axis_of(dim, len(shape), "unflatten")
    sizes = list(sizes_of((sizes,), "unflatten"))
    if -1 in sizes:
        rest = -int(np.prod(sizes))
        sizes[sizes.index(-1)] = shape[d] // rest if rest else 0
    if int(np.prod(sizes)) != shape[d]:
        raise ShapeError(f"unflatten: sizes {tuple(sizes)} do not multiply to {shape[d]}, axis {d} of shape {shape}")
    return Reshape.apply(input, (*shape[:d], *sizes, *shape[d + 1 :]))


def squeeze(input: Any, dim: Any = None, *, axis: Any = None) -> Any:
    """Without axes of size 1: all of them, or those named by ``dim`` that have size 1."""
    dim = dim if axis is None else axis
    shape = tensor_of(input, "squeeze")._array.shape
    axes = () if dim in ((), []) else axes_of(dim, len(shape), "squeeze")
    return Reshape.apply(input, tuple(n for i, n in enumerate(shape) if n != 1 or (axes is not None and i not in axes)))


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new axis of size 1 at ``dim``."""
    shape = tensor_of(input, "unsqueeze")._array.shape
    d = axis_of(dim, len(shape) + 1, "unsqueeze")
    return Reshape.apply(input, (*shape[:d], 1, *shape[d:]))


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """Axes in the order ``dims``."""
    order = sizes_of(order if dims is None else (dims,), "permute")
    ndim = tensor_of(input, "permute")._array.ndim
    axes = tuple(axis_of(d, ndim, "permute") for d in order)
    if sorted(axes) != list(range(ndim)):
        raise ShapeError(f"permute: dims {order} must name each of the {ndim} axes of shape {input._array.shape} once")
    return Permute.apply(input, axes)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    ndim = tensor_of(input, "transpose")._array.ndim
    a, b = axis_of(dim0, ndim, "transpose"), axis_of(dim1, ndim, "transpose")
    axes = list(range(ndim))
    if ndim:
        axes[a], axes[b] = axes[b], axes[a]
    return Permute.apply(input, tuple(axes))


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """:func:`transpose` under NumPy's name."""
    return transpose(input, axis0, axis1)


def t(input: Any) -> Any:
    """A matrix with its axes exchanged; tensors with fewer axes unchanged."""
    ndim = tensor_of(input, "t")._array.ndim
    if ndim > 2:
        raise ShapeError(f"t: expected at most 2 axes, got shape {input._array.shape}; use .mT or .permute")
    return Permute.apply(input, tuple(reversed(range(ndim))))


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axis ``source`` moved to place ``destination``, or each of several to its place; the others keep their order."""
    ndim = tensor_of(input, "movedim")._array.ndim
    lists = [list(dims) if isinstance(dims, (tuple, list)) else [dims] for dims in (source, destination)]
    if len(lists[0]) != len(lists[1]):
        raise ShapeError(f"movedim: {len(lists[0])} axes cannot be moved to {len(lists[1])} places")
    sources, places = (axes_of(dims, ndim, "movedim") or () for dims in lists)
    order = [axis for axis in range(ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return Permute.apply(input, tuple(order))


def expand(input: Any, *sizes: Any, size: Any = None) -> Any:
    """Axes of size 1 repeated (without copying) to ``sizes``; -1 keeps an axis; new axes may come in front."""
    shape = tensor_of(input, "expand")._array.shape
    target = list(sizes_of(sizes if size is None else (size,), "expand"))
    if len(target) < len(shape):
        raise ShapeError(f"expand: {tuple(target)} has fewer axes than shape {shape}")
    for i in range(1, len(shape) + 1):
        if target[-i] == -1:
            target[-i] = shape[-i]
    if any(n < 0 for n in target):
        raise ShapeError(f"expand: sizes {tuple(target)} hold a negative size for an axis that shape {shape} lacks")
    return Expand.apply(input, tuple(target))


def broadcast_to(input: Any, size: Any) -> Any:
    """``input`` expanded to ``size`` by the rules of broadcasting."""
    return expand(input, size)


def repeat(input: Any, *times: Any, repeats: Any = None) -> Any:
    """The tensor laid ``repeats[i]`` times along axis i; new axes may come in front."""
    times = sizes_of(times if repeats is None else (repeats,), "repeat")
    if len(times) < tensor_of(input, "repeat")._array.ndim:
        raise ShapeError(f"repeat: {times} has fewer entries than shape {input._array.shape} has axes")
    if any(n < 0 for n in times):
        raise ShapeError(f"repeat: cannot repeat a negative number of times, got {times}")
    return Repeat.apply(input, times)


def tile(input: Any, *times: Any, dims: Any = None) -> Any:
    """:func:`repeat`, where axes that ``dims`` leaves out in front are not repeated."""
    times = sizes_of(times if dims is None else (dims,), "tile")
    return repeat(input, (1,) * (tensor_of(input, "tile")._array.ndim - len(times)) + times)


def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Any:
    """Each element repeated ``repeats`` times in a row along ``dim`` (or of the flattened tensor).

    ``repeats`` is a number, or a 1-D tensor with one for each element. Without it, the whole numbers 0, 1, … each
    repeated as often as ``input`` says. ``output_size``, if given, must be the size that comes out.
    """
    xp = namespace(tensor_of(input, "repeat_interleave")._array)
    if repeats is None:
        return wrap(xp.repeat(xp.arange(input._array.size), input._array))
    x = input.reshape(-1) if dim is None else input
    d = axis_of(dim or 0, x._array.ndim, "repeat_interleave")
    size = _size(x, d, "repeat_interleave")
    counts = repeats._array if isinstance(repeats, Variable) else xp.asarray(repeats)
    if counts.size not in (1, size) or counts.ndim > 1 or (counts.size and int(counts.min()) < 0):
        raise ShapeError(
            f"repeat_interleave: repeats must be one number or one for each of the {size} elements of axis {d}, none "
            f"of them negative, got {repeats}"
        )
    index = xp.repeat(xp.arange(size), counts)
    if output_size is not None and output_size != index.size:
        raise ShapeError(f"repeat_interleave: output_size is {output_size}, but the repeats give {index.size} elements")
    return x[(slice(None),) * d + (wrap(index),)]


def _sequence(tensors: Any, name: str) -> list[Any]:
    if isinstance(tensors, Variable) or not isinstance(tensors, (list, tuple)) or not tensors:
        raise TypeError(f"{name}: expected a non-empty list or tuple of tensors, got {type(tensors).__name__}")
    xs = [tensor_of(x, name, f"tensors[{i}]") for i, x in enumerate(tensors)]
    if len({x._array.dtype for x in xs}) > 1:
        for i in range(1, len(xs)):
            xs[0], xs[i] = promote(xs[0], xs[i])
        xs = [promote(x, xs[0])[0] for x in xs]
    return xs


def cat(tensors: Any, dim: int = 0, *, axis: Any = None) -> Any:
    """Tensors joined along ``dim``; their other sizes must agree."""
    xs = _sequence(tensors, "cat")
    shape = next((x._array.shape for x in xs if x._array.shape != (0,)), (0,))
    d = axis_of(dim if axis is None else axis, len(shape), "cat")
    if not shape:
        raise ShapeError("cat: tensors without axes cannot be joined; use stack")
    if len(shape) > 1:  # PyTorch lets an empty 1-D tensor join anything
        xs = [x if x._array.shape != (0,) else x.reshape((*shape[:d], 0, *shape[d + 1 :])) for x in xs]
    return Cat.apply(*xs, d)


def stack(tensors: Any, dim: int = 0, *, axis: Any = None) -> Any:
    """Tensors of one shape laid along a new axis ``dim``."""
    xs = _sequence(tensors, "stack")
    return Stack.apply(*xs, axis_of(dim if axis is None else axis, xs[0]._array.ndim + 1, "stack"))


def hstack(tensors: Any) -> Any:
    """Joined along axis 1 (axis 0 for 1-D tensors)."""
    xs = _sequence(tensors, "hstack")
    return cat(xs, 0 if xs[0]._array.ndim <= 1 else 1)


def vstack(tensors: Any) -> Any:
    """Joined along axis 0, 1-D tensors as rows."""
    return cat([x.reshape(1, -1) if x._array.ndim < 2 else x for x in _sequence(tensors, "vstack")], 0)


def _size(input: Any, d: int, name: str) -> int:
    """The size of axis d."""
    if not input._array.ndim:
        raise ShapeError(f"{name}: needs a tensor with at least one axis, got one without")
    return int(input._array.shape[d])


def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of pieces along ``dim``: of one size (the last may be smaller), or of the sizes listed."""
    shape = tensor_of(tensor, "split")._array.shape
    d = axis_of(dim, len(shape), "split")
    _size(tensor, d, "split")
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0:
            raise ShapeError(f"split: the size of a piece must be positive, got {size}")
        sizes = [min(size, shape[d] - i) for i in range(0, shape[d], size)] or [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != shape[d]:
            raise ShapeError(
                f"split: sizes {sizes} add up to {sum(sizes)}, but axis {d} of shape {shape} has {shape[d]}"
            )
    pieces, start = [], 0
    for n in sizes:
        pieces.append(tensor[(slice(None),) * d + (slice(start, start + n),)])
        start += n
    return tuple(pieces)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` views of equal size along ``dim`` (the last may be smaller)."""
    if not isinstance(chunks, int) or chunks < 1:
        raise ValueError(f"chunk: chunks must be a positive integer, got {chunks!r}")
    n = _size(input, axis_of(dim, tensor_of(input, "chunk")._array.ndim, "chunk"), "chunk")
    return split(input, -(-n // chunks) if n else [0] * chunks, dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along ``dim``, as views without that axis."""
    d = axis_of(dim, tensor_of(input, "unbind")._array.ndim, "unbind")
    return tuple(input[(slice(None),) * d + (i,)] for i in range(_size(input, d, "unbind")))


def flip(input: Any, *axes: Any, dims: Any = None) -> Any:
    """Read backwards along ``dims``."""
    ndim = tensor_of(input, "flip")._array.ndim
    return Flip.apply(input, axes_of(sizes_of(axes if dims is None else (dims,), "flip"), ndim, "flip") or ())


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Moved by ``shifts`` along ``dims`` (or, without dims, along the flattened tensor), round the ends."""
    ndim = tensor_of(input, "roll")._array.ndim
    if dims is None:
        if isinstance(shifts, (tuple, list)):
            if len(shifts) != 1:
                raise ShapeError(f"roll: {len(shifts)} shifts need dims, an axis for each; without dims give one")
            shifts = shifts[0]
        return Roll.apply(input, int(shifts), None)
    shifts = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if len(shifts) != len(dims):
        raise ShapeError(f"roll: {len(shifts)} shift(s) for {len(dims)} axis/axes")
    if not ndim:
        raise IndexError(f"roll: dims {dims} name an axis of a tensor that has none")
    return Roll.apply(input, shifts, tuple(axis_of(d, ndim, "roll") for d in dims))


def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of the last two axes, zeros above ``diagonal``."""
    return _triangle(input, "tril", diagonal)


def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of the last two axes, zeros below ``diagonal``."""
    return _triangle(input, "triu", diagonal)


def _triangle(input: Any, name: str, diagonal: int) -> Any:
    x = tensor_of(input, name)._array
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected at least 2 axes, got shape {x.shape}")
    mask = getattr(namespace(x), name)(namespace(x).ones(x.shape[-2:], dtype=bool), diagonal)
    return Where.apply(input, x.dtype.type(0), mask)


def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix with the vector ``input`` on its diagonal and zeros elsewhere, or the diagonal of a matrix."""
    x = tensor_of(input, "diag")._array
    if x.ndim == 2:
        return elementwise.clone(_diagonal(input, diagonal))
    if x.ndim != 1:
        raise ShapeError(f"diag: expected 1 or 2 axes, got shape {x.shape}")
    xp, size = namespace(x), x.shape[0] + abs(diagonal)
    rows = xp.arange(x.shape[0]) + max(-diagonal, 0)
    return PutAt.apply(input, (rows, rows + diagonal), (size, size))


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two axes, or the one ``offset`` places above it, as a view with the diagonal as its last axis."""
    x = tensor_of(input, "diagonal")._array
    a, b = axis_of(dim1, x.ndim, "diagonal"), axis_of(dim2, x.ndim, "diagonal")
    if x.ndim < 2 or a == b:
        raise ShapeError(f"diagonal: dim1 {dim1} and dim2 {dim2} must be two axes, the input has shape {x.shape}")
    return Diagonal.apply(input, operator.index(offset), a, b)


_diagonal = diagonal  # `diag` has an argument of that name
