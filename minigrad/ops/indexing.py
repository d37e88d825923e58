"""Reading and writing by index.

Reading y = x[i] and adding into x[i] are each other's transpose: what reading copies out, its rule adds back at the
same places, and an element that was read twice gets two contributions. The two ops :class:`GetItem` and :class:`PutAt`
are each other's rule, so derivatives of any order need nothing more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.modes import modes
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..devices import CPU, array_module, move, of_array
from ..errors import DtypeError, ShapeError
from .common import axis_of, cast, same_device, sum_to, tensor_of, values_indices
from .elementwise import Where


def is_basic(index: Any) -> bool:
    """Whether an index consists of integers, slices, None and Ellipsis only, so that each element is read once."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, (int, slice, np.integer)) for p in parts) and not any(
        isinstance(p, (bool, np.bool_)) for p in parts
    )


def add_at(target: Any, index: Any, values: Any) -> None:
    """target[index] += values, where elements named several times get all their contributions."""
    if is_basic(index) or (hasattr(index, "dtype") and index.dtype.kind == "b"):
        target[index] += values
    else:
        xp = namespace(target)
        if target.dtype.kind == "f" and (values.size > target.size or target.dtype.itemsize == 2):
            wide = target.astype(np.float64)  # some places get many values
            xp.add.at(wide, index, values)
            with np.errstate(all="ignore"):
                target[...] = wide
        elif xp is np or target.dtype.kind == "f":
            xp.add.at(target, index, values)
        else:  # a GPU adds few kinds of integers at once with others; in uint64 all come out right, modulo 2⁶⁴
            wide = target.astype(np.int64).view(np.uint64)
            xp.add.at(wide, index, values.astype(np.int64).view(np.uint64))
            target[...] = wide.view(np.int64)


class GetItem(Op):
    """y = x[index].   dx is zero except at the places read, where dy is added: dx[index] += dy."""

    is_view = True

    @staticmethod
    def compute(x: Any, index: Any) -> Any:
        y = x[index]
        if isinstance(y, np.generic):  # one element: NumPy copies it out, but a view of no axes is wanted
            y = x[(*index, ...) if isinstance(index, tuple) else (index, ...)]
        return y

    @staticmethod
    def keep(ctx: Any, result: Any, x: Any, index: Any) -> Any:
        ctx.options = index, x.shape
        return result

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        index, shape = ctx.options
        if isinstance(dy, Variable):
            return PutAt.apply(dy, index, shape)
        return PutAt.forward(Op(), dy, index, shape)


class Rows(GetItem, kernel="indexing.rows.rows"):
    """y = x[index] with integers along the first axis: rows of a table, read in one piece each."""

    is_view = False


class PutAt(Op):
    """y = zeros with x added at ``index``.   dx = dy[index]."""

    @staticmethod
    def forward(ctx: Any, x: Any, index: Any, shape: tuple[int, ...]) -> Any:
        ctx.index = index
        y = (
            array_module(of_array(x)).zeros(shape, x.dtype)
            if not isinstance(x, np.generic)
            else np.zeros(shape, x.dtype)
        )
        add_at(y, index, x)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return GetItem.apply(dy, ctx.index) if isinstance(dy, Variable) else dy[ctx.index]


class SetItem(Op):
    """y = x with x[index] replaced by v.   The places written no longer depend on x: dx = dy with zeros there, and
    dv = dy[index], summed over what v was broadcast to. Where an index names a place twice, the last value stays and
    the derivative with respect to the others is not defined, as in NumPy and PyTorch."""

    @staticmethod
    def forward(ctx: Any, x: Any, v: Any, index: Any) -> Any:
        ctx.index, ctx.v_shape = index, getattr(v, "shape", ())
        y = x.copy()
        y[index] = v
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        dx = dv = None
        if ctx.needs(0):
            if isinstance(dy, Variable):
                dx = SetItem.apply(dy, 0.0, ctx.index)
            else:
                dx = namespace(dy).array(dy)
                dx[ctx.index] = 0.0
        if ctx.needs(1):
            taken = dy[ctx.index]
            extra = len(ctx.v_shape) - taken.ndim  # NumPy lets v have leading axes of size 1 that x[index] lacks
            dv = sum_to(taken.reshape((1,) * extra + taken.shape) if extra > 0 else taken, ctx.v_shape)
        return dx, dv

    @staticmethod
    def check(x: Any, v: Any, index: Any) -> None:
        place = x[index]
        raise ShapeError(f"setitem: a value of shape {v.shape} cannot be written where the index gives {place.shape}")


class Gather(GetItem):
    """y[i][j] = x[index[i][j]][j] along axis 0 (likewise for others): indexing, with the same rule."""

    is_view = False

    @staticmethod
    def compute(x: Any, index: Any) -> Any:
        y = GetItem.compute(x, index)
        return y if x.ndim else y.copy()  # a tensor without axes has one place, and NumPy shows it


class ScatterAdd(Op):
    """y = x with src (an array, or a number) added at ``places``.   dx = dy; dsrc = dy[places]."""

    @staticmethod
    def forward(ctx: Any, x: Any, src: Any, places: Any) -> Any:
        ctx.places = places
        y = x.copy()
        add_at(y, places, src)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy if ctx.needs(0) else None, dy[ctx.places] if ctx.needs(1) else None


class ScatterMultiply(Op):
    """y = x · f, f the product of all of src that goes to a place, 1 where none does.   dx = dy · f."""

    @staticmethod
    def forward(ctx: Any, x: Any, src: Any, places: Any) -> Any:
        if ctx.needs(1):
            raise NotImplementedError("scatter: reduce='multiply' has no gradient with respect to src; detach() it")
        factors = np.ones(x.shape, x.dtype)  # on the CPU: CuPy has no multiply.at
        on_cpu = src if isinstance(src, np.generic) else move(src, CPU)
        np.multiply.at(factors, tuple([move(i, CPU) for i in places]), on_cpu)
        factors = namespace(x).asarray(factors)
        ctx.saved = (factors,)
        return x * factors

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (factors,) = ctx.saved
        return dy * factors, None


_SCATTERS = {None: SetItem, "add": ScatterAdd, "multiply": ScatterMultiply}


# --- the functions users call ----------------------------------------------------------------------------------------


def as_index(index: Any, shape: tuple[int, ...], name: str = "index") -> Any:
    """A NumPy index from what users write: tensors become arrays, lists become arrays; floats are refused."""
    if isinstance(index, tuple):
        return tuple(_one(i, shape, name) for i in index)
    return _one(index, shape, name)


def _one(index: Any, shape: tuple[int, ...], name: str) -> Any:
    if isinstance(index, Variable):
        array = index._array
    elif isinstance(index, (list, range)):
        array = np.asarray([i._array.tolist() if isinstance(i, Variable) else i for i in index])
        if array.size == 0:
            array = array.astype(np.int64)
    elif index is None or index is Ellipsis or isinstance(index, (int, slice, np.integer)):
        return index
    elif isinstance(index, np.ndarray) or hasattr(index, "__cuda_array_interface__"):
        array = index
    else:
        raise TypeError(f"{name}: cannot index with {type(index).__name__}")
    if array.dtype.kind not in "iub":
        raise IndexError(f"{name}: an index tensor must hold integers or bools, got {dtypes.of_array(array)}")
    if array.dtype == np.uint8:  # how PyTorch wrote masks before it had bools
        array = array != 0
    return int(array) if array.ndim == 0 and array.dtype.kind != "b" else array


def refuse_outside(input: Any, index: Any, name: str = "index") -> None:
    """An error for places outside a tensor on a GPU: NumPy refuses them, CuPy takes them round the axis' end."""
    if isinstance(input._array, np.ndarray):
        return
    shape = input._array.shape
    parts = index if isinstance(index, tuple) else (index,)
    widths = [
        0 if p is None or p is Ellipsis else p.ndim if hasattr(p, "dtype") and p.dtype.kind == "b" else 1 for p in parts
    ]
    axis = 0
    for p, width in zip(parts, widths, strict=True):
        if hasattr(p, "dtype") and p.dtype.kind in "iu" and p.size and axis < len(shape):
            low, high, n = int(p.min()), int(p.max()), shape[axis]
            if low < -n or high >= n:
                raise IndexError(f"{name}: {low if low < -n else high} is out of range for axis {axis} of size {n}")
        axis += len(shape) - sum(widths) if p is Ellipsis else width


def integers_first(index: Any) -> tuple[Any, Any] | None:
    """For an index that mixes integers with arrays: (the integers alone, the rest), to be applied one after the other.

    PyTorch does it in these two steps. NumPy takes the integers for arrays too, and where a slice stands between them
    and the others the axes of the result come in another order. None for all other indices.
    """
    if not isinstance(index, tuple):
        return None
    whole = [isinstance(p, (int, np.integer)) and not isinstance(p, bool) for p in index]
    if not any(whole) or not any(hasattr(p, "dtype") and not w for p, w in zip(index, whole, strict=True)):
        return None
    first: list[Any] = []
    for p, is_whole in zip(index, whole, strict=True):
        if is_whole or p is Ellipsis:
            first.append(p)
        elif p is not None:
            first += [slice(None)] * (p.ndim if hasattr(p, "dtype") and p.dtype.kind == "b" else 1)
    return tuple(first), tuple(p for p, is_whole in zip(index, whole, strict=True) if not is_whole)


def own_index(index: Any, *tensors: Any) -> Any:
    """The index with copies of its arrays if a graph through these tensors will keep it: the caller's index tensor may
    change in place before the backward pass."""
    if not modes.grad or not any(isinstance(t, Variable) and t._requires_grad for t in tensors):
        return index
    if isinstance(index, tuple):
        return tuple([p.copy() if hasattr(p, "dtype") else p for p in index])
    return index.copy() if hasattr(index, "dtype") else index


def getitem(input: Any, index: Any) -> Any:
    """input[index]: slices, integers, None, Ellipsis, bool masks, integer arrays and tensors, as in PyTorch.

    Raises:
        IndexError: out of range, or an index that does not fit the shape.
    """
    if type(index) is not int and type(index) is not slice:
        index = as_index(index, input._array.shape)
        refuse_outside(input, index)
        if isinstance(index, tuple) and len(index) == 1:
            (index,) = index
        steps = integers_first(index)
        if steps is not None:
            input, index = GetItem.apply(input, steps[0]), steps[1]
        index = own_index(index, input)
        if getattr(index, "ndim", 0) and index.dtype.kind != "b" and input._array.ndim > 1:
            return Rows.apply(input, index)
    return GetItem.apply(input, index)


def gather(input: Any, dim: int, index: Any, *, axis: Any = None) -> Any:
    """out[i][j][k] = input[index[i][j][k]][j][k] for dim = 0, and likewise for other axes.

    ``index`` (int64) has as many axes as ``input`` and is at most as long on all but ``dim``; an empty one may have any
    shape. A tensor without axes counts as one with a single element.
    """
    shape = tensor_of(index, "gather", "index")._array.shape
    x, i = _with_axes(tensor_of(input, "gather"), index)
    d = axis_of(dim if axis is None else axis, x._array.ndim, "gather")
    if not i._array.size:
        return x.reshape(-1)[:0].reshape(shape)
    y = Gather.apply(x, own_index(_places(x, d, i, "gather"), x))
    return y if shape else y.reshape(shape)


def _with_axes(*tensors: Any) -> list[Any]:
    """Tensors without axes as vectors of one element, everything else as it is."""
    alone = [isinstance(t, Variable) and not t._array.ndim for t in tensors]
    return [t.reshape(1) if one else t for t, one in zip(tensors, alone, strict=True)]


def _places(input: Any, d: int, index: Any, name: str) -> tuple[Any, ...]:
    """The index (one array per axis) of the elements that gather reads and scatter writes."""
    i = tensor_of(index, name, "index")._array
    shape = input._array.shape
    same_device(name, input=input, index=index)
    if i.dtype.kind not in "iu":
        raise DtypeError(f"{name}: index has dtype {dtypes.of_array(i)}, expected int64")
    if i.ndim != len(shape):
        raise ShapeError(f"{name}: index has shape {i.shape}, input {shape}; they must have as many axes")
    if any(n > m for axis, (n, m) in enumerate(zip(i.shape, shape, strict=True)) if axis != d):
        raise ShapeError(f"{name}: index of shape {i.shape} is longer than input {shape} on an axis other than dim {d}")
    if i.size and (int(i.min()) < 0 or int(i.max()) >= shape[d]):
        bad = int(i.min()) if int(i.min()) < 0 else int(i.max())
        raise IndexError(f"{name}: index {bad} is out of range for axis {d} of size {shape[d]}")
    xp = namespace(i)
    grid = [xp.arange(n).reshape((-1,) + (1,) * (i.ndim - 1 - axis)) for axis, n in enumerate(i.shape)]
    grid[d] = i
    return tuple(grid)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with src[i][j] added at [index[i][j]][j] (dim = 0; likewise for other axes)."""
    shape = tensor_of(input, "scatter_add")._array.shape
    x, i, src = _with_axes(input, tensor_of(index, "scatter_add", "index"), src)
    d = axis_of(dim, x._array.ndim, "scatter_add")
    if not i._array.size:
        return input.clone()
    places = own_index(_places(x, d, i, "scatter_add"), x, src)
    y = ScatterAdd.apply(*_source(x, src, i, "scatter_add"), places)
    return y if shape else y.reshape(shape)


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """``input`` with src[i][j] (or ``value``) written at [index[i][j]][j] (dim = 0; likewise for other axes).

    With ``reduce`` "add" or "multiply" it is added to what stands there, or multiplied with it.
    """
    if reduce not in _SCATTERS:
        raise ValueError(f"scatter: reduce must be 'add' or 'multiply' if given, got {reduce!r}")
    shape = tensor_of(input, "scatter")._array.shape
    x, i, src = _with_axes(input, tensor_of(index, "scatter", "index"), value if src is None else src)
    d = axis_of(dim, x._array.ndim, "scatter")
    if not i._array.size:
        return input.clone()
    places = own_index(_places(x, d, i, "scatter"), x, src)
    if isinstance(src, Variable):
        x, src = _source(x, src, i, "scatter")
    else:
        src = x._array.dtype.type(src)
    y = _SCATTERS[reduce].apply(x, src, places)
    return y if shape else y.reshape(shape)


def _source(input: Any, src: Any, index: Any, name: str) -> tuple[Any, Any]:
    tensor_of(src, name, "src")
    shape = index._array.shape
    if any(n > m for n, m in zip(shape, src._array.shape, strict=False)) or src._array.ndim != len(shape):
        raise ShapeError(f"{name}: src has shape {src._array.shape}, smaller than index {shape}")
    if src._array.dtype != input._array.dtype:
        raise DtypeError(f"{name}: src is {dtypes.of_array(src._array)}, input {dtypes.of_array(input._array)}")
    return input, src if src._array.shape == shape else src[tuple(slice(0, n) for n in shape)]


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of ``input`` along ``dim`` that the 1-D ``index`` names, in its order."""
    shape = tensor_of(input, "index_select")._array.shape
    (x,) = _with_axes(input)
    d = axis_of(dim, x._array.ndim, "index_select")
    i = tensor_of(index, "index_select", "index")._array
    same_device("index_select", input=input, index=index)
    if i.ndim > 1 or i.dtype.kind not in "iu":
        raise ShapeError(
            f"index_select: index must be 1-D and hold integers, got shape {i.shape}, {dtypes.of_array(i)}"
        )
    if not shape and i.size != 1:
        raise ShapeError(f"index_select: a tensor without axes has 1 element to select, index has {i.size}")
    y = getitem(x, (slice(None),) * d + (wrap(i.reshape(-1)),))
    return y if shape else y.reshape(shape)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table: input (…) int64, weight (rows, features) → (…, features).

    The rule is indexing's: each row gathers the gradients of all its uses. The row ``padding_idx`` is taken as a
    constant and gets none.

    Raises:
        IndexError: an index out of range.
        DtypeError: indices that are not integers.
    """
    rows = tensor_of(input, "embedding")._array
    if rows.dtype.kind not in "iu":
        raise DtypeError(f"embedding: indices must be int64, got {dtypes.of_array(rows)}")
    if tensor_of(weight, "embedding", "weight")._array.ndim != 2:
        raise ShapeError(f"embedding: weight must be a table (rows, features), got shape {weight._array.shape}")
    count = weight._array.shape[0]
    same_device("embedding", input=input, weight=weight)
    if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= count):
        bad = int(rows.min()) if int(rows.min()) < 0 else int(rows.max())
        raise IndexError(f"embedding: index {bad} is out of range for a table of {count} rows")
    y = Rows.apply(weight, own_index(rows, weight))
    if padding_idx is None:
        return y
    if not -count <= padding_idx < count:
        raise IndexError(f"embedding: padding_idx {padding_idx} is out of range for a table of {count} rows")
    real = wrap((rows != padding_idx % count)[..., None])
    return namespace(y).where(real, y, y.detach())


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``input`` with ``value``, a number or a tensor without axes, where the bool ``mask`` (broadcast to it) holds."""
    if tensor_of(mask, "masked_fill", "mask")._array.dtype.kind != "b":
        raise DtypeError(f"masked_fill: mask has dtype {dtypes.of_array(mask._array)}, expected bool")
    dtype = tensor_of(input, "masked_fill")._array.dtype
    if isinstance(value, Variable):
        if value._array.ndim:
            raise ShapeError(f"masked_fill: value must be a number or have no axes, got shape {value._array.shape}")
        value = cast(value, dtype)
    else:
        with np.errstate(all="ignore"):  # what does not fit becomes infinite
            value = dtype.type(value)
    return Where.apply(value, input, mask)


def masked_select(input: Any, mask: Any) -> Any:
    """The elements of ``input`` where the bool ``mask`` (broadcast against it) holds, as a 1-D tensor."""
    if tensor_of(mask, "masked_select", "mask")._array.dtype.kind != "b":
        raise DtypeError(f"masked_select: mask has dtype {dtypes.of_array(mask._array)}, expected bool")
    shape = np.broadcast_shapes(tensor_of(input, "masked_select")._array.shape, mask._array.shape)
    return input.expand(shape)[mask.expand(shape)]


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that are not 0, a row each; or as a tuple, a vector for each axis, as an index."""
    (x,) = _with_axes(tensor_of(input, "nonzero"))
    places = x._array.nonzero()
    if as_tuple:
        return tuple(wrap(p.astype(np.int64)) for p in places)
    rows = namespace(x._array).stack(places, axis=-1).astype(np.int64)
    return wrap(rows[:, : input._array.ndim])  # a tensor without axes has rows of no indices


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """(…,) class indices → (…, num_classes) int64, 1 at the class and 0 elsewhere."""
    i = tensor_of(tensor, "one_hot")._array
    if i.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: class indices must be int64, got {dtypes.of_array(i)}")
    if num_classes == -1:
        if i.size == 0:
            raise ShapeError("one_hot: num_classes cannot be found from an empty tensor; give it")
        num_classes = int(i.max()) + 1
    if i.size and (int(i.min()) < 0 or int(i.max()) >= num_classes):
        raise IndexError(f"one_hot: classes run from {int(i.min())} to {int(i.max())}, num_classes is {num_classes}")
    return wrap((i[..., None] == namespace(i).arange(num_classes)).astype(np.int64))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """The indices that sort ``input`` along ``dim``; equal elements keep their order."""
    x = tensor_of(input, "argsort")._array
    d = axis_of(dim, x.ndim, "argsort")
    xp = namespace(x)
    if x.ndim == 0:
        return wrap(xp.zeros((), np.int64))
    if not descending:
        return wrap(x.argsort(axis=d, kind="stable"))
    # Sorting the reversed axis keeps equal elements in order once the result is reversed as well.
    return wrap(xp.ascontiguousarray(x.shape[d] - 1 - xp.flip(xp.flip(x, d).argsort(axis=d, kind="stable"), d)))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Any:
    """(values, indices) sorted along ``dim``."""
    index = argsort(input, dim, descending)
    return values_indices(gather(input, dim, index), index)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the ``k`` largest (or smallest) elements along ``dim``, in order."""
    x = tensor_of(input, "topk")._array
    d = axis_of(dim, x.ndim, "topk")
    size = x.shape[d] if x.ndim else 1
    if not 0 <= k <= size:
        raise ShapeError(f"topk: k = {k} is out of range for axis {d} of size {size}")
    order = argsort(input, d, descending=largest)
    index = order if x.ndim == 0 else order[(slice(None),) * d + (slice(0, k),)]
    return values_indices(gather(input, d, index), index)
