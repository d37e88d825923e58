"""Making tensors: from data, from sizes, from random numbers. Names, defaults and dtypes are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import cuda, drawing, dtypes, random
from .autograd.modes import no_grad
from .autograd.variable import wrap
from .devices import active, array_module, move, of_array
from .devices import device as Device
from .errors import DtypeError, ShapeError
from .ops.common import tensor_of
from .ops.shape import sizes_of
from .tensor import Tensor


def _device_of(device: Any) -> Device:
    return Device("cpu") if device is None else Device(device)


def _finish(array: Any, requires_grad: bool, like: str) -> Any:
    t = wrap(array)
    if requires_grad:
        if array.dtype.kind != "f":
            raise DtypeError(f"{like}: requires_grad=True needs a floating dtype, got {dtypes.of_array(array)}")
        t._requires_grad = True
    return t


def _kind(dtype: Any, default: Any = None) -> np.dtype[Any]:
    if dtype is not None:
        return dtypes.as_dtype(dtype).numpy
    return (dtypes.get_default_dtype() if default is None else default).numpy


def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Any:
    """A tensor with a copy of ``data``: numbers, nested lists, arrays, tensors.

    Python floats become the default dtype (float32), integers int64, bools bool; arrays keep their own dtype.

    Raises:
        ShapeError: nested lists of unequal lengths.
        DtypeError: data that is not numbers.
    """
    array = _as_array(data, "tensor")
    if dtype is not None:
        array = _converted(array, dtypes.as_dtype(dtype).numpy)
    elif isinstance(data, (Tensor, np.ndarray, np.generic)) or hasattr(data, "__cuda_array_interface__"):
        dtypes.of_array(array)  # refuses what minigrad has no dtype for
        array = array.copy()
    else:
        array = _converted(array, _kind_of_data(data, array))
    where = _device_of(device) if device is not None else None
    return _finish(array if where is None else move(array, where), requires_grad, "tensor")


def _converted(array: Any, kind: np.dtype[Any]) -> Any:
    """A copy in another dtype; what does not fit becomes infinite without a warning, as in PyTorch."""
    with np.errstate(all="ignore"):
        return array.astype(kind)


def _as_array(data: Any, name: str) -> Any:
    if isinstance(data, Tensor):
        return data._array
    if hasattr(data, "__cuda_array_interface__"):
        return cuda.require().asarray(data)
    try:
        array = np.asarray(_unwrapped(data))
    except ValueError as error:
        raise ShapeError(f"{name}: the rows of nested data must have one length each ({error})") from None
    if array.dtype == np.uint64 and not hasattr(data, "dtype"):
        raise DtypeError(f"{name}: data must be numbers that fit into int64, the largest is {array.max()}")
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"{name}: data must be numbers, got {type(data).__name__} of {array.dtype}")
    return array


def _unwrapped(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        return [_unwrapped(x) for x in data] if any(isinstance(x, (list, tuple, Tensor)) for x in data) else data
    return data._array.tolist() if isinstance(data, Tensor) else data


def _kind_of_data(data: Any, array: Any) -> np.dtype[Any]:
    if isinstance(data, (list, tuple)):
        first: Any = data
        while isinstance(first, (list, tuple)) and first:
            first = first[0]
        if isinstance(first, (np.ndarray, np.generic)):
            return array.dtype
    return dtypes.get_default_dtype().numpy if array.dtype.kind == "f" or array.size == 0 else array.dtype


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """``data`` as a tensor, sharing memory where dtype and device allow it."""
    if isinstance(data, Tensor):
        t: Any = data
    elif isinstance(data, np.ndarray):
        t = from_numpy(data)
    else:
        t = tensor(data)
    return t.to(*[a for a in (dtype, device) if a is not None]) if dtype is not None or device is not None else t


def from_numpy(ndarray: Any) -> Any:
    """A tensor that shares the array's memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    if not ndarray.dtype.isnative:
        raise DtypeError(f"from_numpy: byte order {ndarray.dtype.byteorder!r} is not this machine's; use .astype()")
    dtypes.of_array(ndarray)
    return wrap(ndarray)


def from_dlpack(ext: Any) -> Any:
    """A tensor that shares memory with anything that speaks DLPack (PyTorch, CuPy, JAX, …)."""
    on_cpu = not hasattr(ext, "__dlpack_device__") or int(ext.__dlpack_device__()[0]) == 1
    array = (np if on_cpu else cuda.require()).from_dlpack(ext)
    dtypes.of_array(array)
    return wrap(array)


def _filled(name: str, sizes: tuple[Any, ...], dtype: Any, device: Any, requires_grad: bool) -> Any:
    where = _device_of(device)
    shape = _shape(sizes, name)
    with active(where):
        return _finish(getattr(array_module(where), name)(shape, dtype=_kind(dtype)), requires_grad, name)


def zeros(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros of shape ``size``."""
    return _filled("zeros", sizes if size is None else size, dtype, device, requires_grad)


def ones(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones of shape ``size``."""
    return _filled("ones", sizes if size is None else size, dtype, device, requires_grad)


def empty(*sizes: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Uninitialised memory of shape ``size``."""
    return _filled("empty", sizes if size is None else size, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """``fill_value`` everywhere; its own kind decides the dtype unless one is given."""
    where = _device_of(device)
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = _kind(dtype, dtypes.as_dtype(type(value)) if isinstance(value, (bool, int)) else None)
    with active(where):
        return _finish(array_module(where).full(sizes_of((size,), "full"), value, dtype=kind), requires_grad, "full")


def _like(maker: Any, input: Any, dtype: Any, device: Any, requires_grad: bool, *args: Any) -> Any:
    return maker(
        *([input.shape, *args] if args else [input.shape]),
        dtype=input.dtype if dtype is None else dtype,
        device=input.device if device is None else device,
        requires_grad=requires_grad,
    )


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros with the shape, dtype and device of ``input``."""
    return _like(zeros, input, dtype, device, requires_grad)


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones with the shape, dtype and device of ``input``."""
    return _like(ones, input, dtype, device, requires_grad)


def empty_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Uninitialised memory with the shape, dtype and device of ``input``."""
    return _like(empty, input, dtype, device, requires_grad)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """``fill_value`` with the shape, dtype and device of ``input``."""
    return _like(full, input, dtype, device, requires_grad, fill_value)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """start, start + step, … up to but without ``end``; integers unless an argument is a float."""
    if end is None:
        start, end = 0, start
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise ValueError(f"arange: from {start} to {end} with step {step} goes the wrong way")
    whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
    kind = _kind(dtype, dtypes.int64 if whole else None)
    # NumPy's own count can be one too many for floats; this is PyTorch's.
    count = math.ceil((end - start) / step)
    where = _device_of(device)
    with active(where):
        xp = array_module(where)
        return _finish((xp.arange(count) * step + start).astype(kind), requires_grad, "arange")


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""
    where = _device_of(device)
    with active(where):
        array = array_module(where).linspace(float(start), float(end), int(steps), dtype=np.float64)
        return _finish(array.astype(_kind(dtype)), requires_grad, "linspace")


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones on the diagonal of an (n, m) matrix, zeros elsewhere."""
    where = _device_of(device)
    with active(where):
        return _finish(array_module(where).eye(n, m, dtype=_kind(dtype)), requires_grad, "eye")


def _drawn(
    name: str,
    distribution: Any,
    size: Any,
    generator: Any,
    kind: Any,
    device: Any,
    requires_grad: bool,
    *parameters: Any,
) -> Any:
    """A tensor of draws from one of :mod:`minigrad.drawing`."""
    where = _device_of(device)
    shape = _shape(size, name)
    draw = random.draws(generator, where.type)
    with active(where):
        array = distribution(name, draw, shape, kind, *parameters)
        return _finish(array_module(where).asarray(array), requires_grad, name)


def _shape(sizes: tuple[Any, ...], name: str) -> tuple[int, ...]:
    shape = sizes_of(sizes, name)
    if any(n < 0 for n in shape):
        raise ShapeError(f"{name}: sizes must not be negative, got {shape}")
    return shape


def rand(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Draws from the uniform distribution on [0, 1)."""
    size = sizes if size is None else (size,)
    return _drawn("rand", drawing.uniform, size, generator, _kind(dtype), device, requires_grad, 0, 1)


def randn(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Draws from the normal distribution N(0, 1)."""
    size = sizes if size is None else (size,)
    return _drawn("randn", drawing.normal, size, generator, _kind(dtype), device, requires_grad, 0, 1)


def rand_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """:func:`rand` with the shape, dtype and device of ``input``."""
    return _like(rand, input, dtype, device, requires_grad)


def randn_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """:func:`randn` with the shape, dtype and device of ``input``."""
    return _like(randn, input, dtype, device, requires_grad)


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Integers from ``low`` (default 0) to ``high`` − 1: ``randint(high, size)`` or ``randint(low, high, size)``.

    Raises DistributionError where low >= high, or where the dtype does not hold them.
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if high is None or size is None:
        raise TypeError("randint: size is missing; call randint(high, size) or randint(low, high, size)")
    kind = _kind(dtype, dtypes.int64)
    return _drawn("randint", drawing.integers, (size,), generator, kind, device, requires_grad, low, high)


def randint_like(input: Any, low: Any, high: Any = None, *, dtype: Any = None, device: Any = None) -> Any:
    """:func:`randint` with the shape, dtype and device of ``input``."""
    low, high = (0, low) if high is None else (low, high)
    kind, where = input.dtype if dtype is None else dtype, input.device if device is None else device
    return randint(low, high, input.shape, dtype=kind, device=where)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None) -> Any:
    """The integers 0 to n − 1 in random order. Raises DistributionError for a negative n or a dtype without them."""
    where = _device_of(device)
    kind = _kind(dtype, dtypes.int64)
    n = drawing.permutation_fits("randperm", n, kind)
    if where.type == "cpu":
        array = random.draws(generator).permutation(n)
    else:
        array = random.draws(generator, where.type).random(n).argsort()
    return wrap(array.astype(kind))


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None
) -> Any:
    """Draws from N(mean, std²); the shape is ``size`` or that of the tensors given, whose dtype and device it has.

    Raises DistributionError for a negative or undefined std.
    """
    given = [x._array for x in (mean, std) if isinstance(x, Tensor)]
    if size is None:
        if not given:
            raise TypeError("normal: give size, or mean or std as a tensor")
        size = np.broadcast_shapes(*[x.shape for x in given])
    if not given:
        kind = _kind(dtype)
        return _drawn("normal", drawing.normal, (size,), generator, kind, device, False, mean, std)
    drawing.spread("normal", std._array if isinstance(std, Tensor) else std)
    with no_grad():
        device = of_array(given[0]) if device is None else device
        draws = randn(size, generator=generator, dtype=dtype, device=device) * std + mean
        floats = [x for x in given if x.dtype.kind == "f"]
        return draws.to(dtypes.as_dtype(dtypes.result_type(*floats))) if floats and dtype is None else draws


def bernoulli(input: Any, p: Any = None, *, generator: Any = None) -> Any:
    """1 with the probability that ``input`` holds (or ``p``, for each of its elements), else 0.

    Raises DistributionError for what is no probability, DtypeError for an ``input`` of integers.
    """
    if p is not None:
        return empty_like(input).bernoulli_(p, generator=generator)
    drawing.floating("bernoulli", input._array.dtype)
    return empty_like(input).bernoulli_(input, generator=generator)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Any:
    """Indices drawn with the weights in ``input``, (n) or (rows, n) → (num_samples) or (rows, num_samples).

    Raises DistributionError for weights that are negative, not finite, or too few; DtypeError for integers.
    """
    drawing.floating("multinomial", input._array.dtype)
    weights = np.asarray(move(input._array, Device("cpu")), dtype=np.float64)
    if weights.ndim not in (1, 2):
        raise ShapeError(f"multinomial: weights must be 1-D or 2-D, got shape {weights.shape}")
    rows = np.atleast_2d(weights)
    picked = drawing.choices("multinomial", random.draws(generator), rows, num_samples, replacement)
    return wrap(move(picked if weights.ndim == 2 else picked[0], input.device))


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinate grids of 1-D tensors; ``indexing`` "ij" (matrix, PyTorch's default) or "xy"."""
    xs = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if not xs:
        raise TypeError("meshgrid: expected at least one tensor")
    for i, x in enumerate(xs):
        if tensor_of(x, "meshgrid", f"tensors[{i}]")._array.ndim > 1:
            raise ShapeError(f"meshgrid: tensors[{i}] must have at most 1 axis, got shape {x._array.shape}")
    sizes = [x.numel() for x in xs]
    grids = tuple(x.reshape([-1 if d == i else 1 for d in range(len(xs))]).expand(sizes) for i, x in enumerate(xs))
    return tuple(g.transpose(0, 1) for g in grids) if indexing == "xy" and len(xs) > 1 else grids
