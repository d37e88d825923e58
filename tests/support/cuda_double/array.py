"""The double's array: CuPy's methods around a NumPy array that nobody else sees.

Which methods there are, their arguments, and what is refused follow CuPy 14's documentation of ``cupy.ndarray``.
"""

from __future__ import annotations

import functools
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np

from .memory import Device, pool

SCALARS = (int, float, complex, bool, np.number, np.bool_)


def host_of(x: Any) -> Any:
    """What NumPy computes with: the memory behind an array, or a scalar. Everything else is refused, as by CuPy."""
    if isinstance(x, ndarray):
        return x._host
    if isinstance(x, SCALARS):
        return x
    raise TypeError(f"Unsupported type {type(x)}")


def wrap(host: Any, source: ndarray | None = None) -> ndarray:
    """An array around a result of NumPy's: in memory of its own, or a view of ``source``'s where they share it."""
    array = object.__new__(ndarray)
    array._host = host if isinstance(host, np.ndarray) else np.asarray(host)
    array.base = None
    if source is not None and np.may_share_memory(array._host, source._host):
        array.base = source if source.base is None else source.base
        array._device = source._device
    else:
        array._device = Device()
        pool.used += array._host.nbytes
    return array


class Flags(NamedTuple):
    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class Pointer(NamedTuple):
    ptr: int


class ndarray:
    """Source: cupy.ndarray."""

    __module__ = "cupy"
    __slots__ = ("__weakref__", "_device", "_host", "base")
    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]

    _host: Any
    base: Any
    _device: Device

    def __new__(cls, shape: Any, dtype: Any = float) -> ndarray:
        return wrap(np.zeros(shape, dtype))

    def __del__(self) -> None:
        if self.base is None:
            pool.used -= self._host.nbytes

    # --- attributes --------------------------------------------------------------------------------------------------

    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    device = property(lambda self: self._device)
    data = property(lambda self: Pointer(self._host.ctypes.data))

    @property
    def flags(self) -> Flags:
        flags = self._host.flags
        return Flags(flags.c_contiguous, flags.f_contiguous, self.base is None)

    @property
    def T(self) -> ndarray:
        return self if self.ndim < 2 else wrap(self._host.T, self)

    @property
    def mT(self) -> ndarray:
        return self.swapaxes(-1, -2)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._host.ctypes.data, False),
            "strides": self.strides,
            "version": 3,
        }

    # --- to and from the host ----------------------------------------------------------------------------------------

    def __array__(self, dtype: Any = None) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> Any:
        return self._host.copy(order)

    def item(self) -> Any:
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def tobytes(self, order: Any = "C") -> bytes:
        return bytes(self._host.tobytes(order))

    def __bool__(self) -> bool:
        if self.size == 0:
            warnings.warn("The truth value of an empty array is ambiguous.", DeprecationWarning, stacklevel=2)
            return False
        return bool(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __repr__(self) -> str:
        return repr(self._host)

    def __reduce__(self) -> Any:
        return sys.modules["cupy"].array, (self.get(order="A"),)

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> ndarray:
        with self._device:
            return self.copy()

    # --- elements ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return int(self.shape[0])

    def __iter__(self) -> Any:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def _places(self, index: Any) -> tuple[tuple[Any, ...], bool]:
        """(an index for NumPy, whether arrays are in it). Integer arrays are wrapped round the axis they index."""
        parts: list[Any] = []
        for p in index if isinstance(index, tuple) else (index,):
            if isinstance(p, ndarray):
                p = p._host
            elif isinstance(p, (list, tuple, np.ndarray, bool, np.bool_)):
                p = np.asarray(p)
                p = p.astype(np.int32) if p.size == 0 and p.dtype.kind == "f" else p
            elif p is not None and p is not Ellipsis and not isinstance(p, (slice, int, np.integer)):
                raise IndexError(f"only integers, slices, ellipsis, None and arrays are valid indices, got {type(p)}")
            parts.append(p)
        widths = [
            0 if p is None or p is Ellipsis else p.ndim if isinstance(p, np.ndarray) and p.dtype.kind == "b" else 1
            for p in parts
        ]
        axis = 0
        for i, (p, width) in enumerate(zip(parts, widths, strict=True)):
            if isinstance(p, np.ndarray) and p.dtype.kind in "iu":
                size = self.shape[axis] if axis < self.ndim else 0
                parts[i] = p % size if size else p
            axis += self.ndim - sum(widths) if p is Ellipsis else width
        return tuple(parts), any(isinstance(p, np.ndarray) for p in parts)

    def __getitem__(self, index: Any) -> ndarray:
        places, arrays = self._places(index)
        if arrays:
            return wrap(np.array(self._host[places]))
        return wrap(self._host[places if Ellipsis in places else (*places, ...)], self)

    def __setitem__(self, index: Any, value: Any) -> None:
        places, arrays = self._places(index)
        if isinstance(value, ndarray):
            value = value._host
        elif not arrays and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host[places] = value

    def fill(self, value: Any) -> None:
        self[...] = value

    def _scatter_op(self, index: Any, value: Any, ufunc: Any) -> None:
        places, _ = self._places(index)
        # CuPy adds up with the GPU's atomics, which are there for these types; int64 came in a later 14.x.
        if self.dtype.name not in ("int32", "uint32", "uint64", "float16", "float32", "float64"):
            raise TypeError(f"cupy.{ufunc.__name__}.at does not support {self.dtype}")
        ufunc.at(self._host, places, np.asarray(host_of(value)).astype(self.dtype))

    def take(self, indices: Any, axis: Any = None, out: Any = None) -> ndarray:
        return wrap(self._host.take(host_of(indices), axis, mode="wrap"))

    def nonzero(self) -> tuple[ndarray, ...]:
        if not self.ndim:
            raise ValueError("Calling nonzero on 0d arrays is not allowed.")
        return tuple(wrap(i) for i in self._host.nonzero())

    def argsort(self, axis: Any = -1, kind: Any = None) -> ndarray:
        if kind not in (None, "stable"):
            raise ValueError("kind can only be None or 'stable'")
        return wrap(self._host.argsort(axis, kind="stable"))

    def repeat(self, repeats: Any, axis: Any = None) -> ndarray:
        return wrap(self._host.repeat(repeats, axis))

    # --- shape -------------------------------------------------------------------------------------------------------

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> ndarray:
        return wrap(self._host.reshape(*shape, order=order), self)

    def transpose(self, *axes: Any) -> ndarray:
        return wrap(self._host.transpose(*axes), self)

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        return wrap(self._host.swapaxes(axis1, axis2), self)

    def squeeze(self, axis: Any = None) -> ndarray:
        return wrap(self._host.squeeze(axis), self)

    def ravel(self, order: str = "C") -> ndarray:
        return wrap(self._host.ravel(order), self)

    def flatten(self, order: str = "C") -> ndarray:
        return wrap(self._host.flatten(order))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        diagonal = self._host.diagonal(offset, axis1, axis2)
        diagonal.flags.writeable = self._host.flags.writeable  # CuPy's can be written to
        return wrap(diagonal, self)

    def view(self, dtype: Any = None, type: Any = None) -> ndarray:
        return wrap(self._host.view() if dtype is None else self._host.view(dtype), self)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> ndarray:
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        with np.errstate(all="ignore"):
            host = self._host.astype(dtype, order, copy=copy)
        return self if host is self._host else wrap(host)

    def copy(self, order: str = "C") -> ndarray:
        return wrap(self._host.copy(order))

    # --- reductions: arrays of no axes where NumPy gives scalars -----------------------------------------------------

    def _reduced(self, name: str, axis: Any, out: Any, keepdims: Any, **more: Any) -> ndarray:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing
            return wrap(getattr(self._host, name)(axis=axis, keepdims=bool(keepdims), **more))

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("all", axis, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("any", axis, out, keepdims)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("sum", axis, out, keepdims, dtype=dtype)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = None) -> ndarray:
        return self._reduced("prod", axis, out, keepdims, dtype=dtype)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("mean", axis, out, keepdims, dtype=dtype)

    def var(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False
    ) -> ndarray:
        return self._reduced("var", axis, out, keepdims, dtype=dtype, ddof=ddof)

    def std(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: bool = False
    ) -> ndarray:
        return self._reduced("std", axis, out, keepdims, dtype=dtype, ddof=ddof)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("max", axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("min", axis, out, keepdims)

    def argmax(self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("argmax", axis, out, keepdims)

    def argmin(self, axis: Any = None, out: Any = None, dtype: Any = None, keepdims: bool = False) -> ndarray:
        return self._reduced("argmin", axis, out, keepdims)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> ndarray:
        return wrap(self._host.cumsum(axis, dtype))

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> ndarray:
        bounds = [None if b is None else host_of(b) for b in (min, max)]
        return wrap(self._host.clip(*bounds))

    def round(self, decimals: int = 0, out: Any = None) -> ndarray:
        return wrap(self._host.round(decimals))

    def dot(self, b: ndarray, out: Any = None) -> ndarray:
        return wrap(self._host.dot(b._host))

    # --- NumPy's functions -------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        inout = inputs
        if "out" in kwargs:
            inout += kwargs["out"]
            (kwargs["out"],) = kwargs["out"]
        found = getattr(sys.modules["cupy"], ufunc.__name__, None)
        found = getattr(sys.modules["cupyx.scipy.special"], ufunc.__name__, None) if found is None else found
        function = found if method == "__call__" else getattr(found, method, None)
        if function is None:
            return NotImplemented
        for x in inout:  # CuPy lets NumPy's arrays pass here and refuses them a step later
            if not isinstance(x, (*SCALARS, ndarray, np.ndarray)) and not hasattr(x, "__cuda_array_interface__"):
                return NotImplemented
        if ufunc.__name__ in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
            inputs = tuple(x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs)
        return function(*inputs, **kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        try:
            module = functools.reduce(getattr, func.__module__.split(".")[1:], sys.modules["cupy"])
            function = getattr(module, func.__name__)
        except AttributeError:
            return NotImplemented
        if function is func or not all(issubclass(t, (ndarray, np.ndarray)) for t in types):
            return NotImplemented
        return function(*args, **kwargs)

    def __eq__(self, other: Any) -> Any:
        return np.equal(self, other)

    def __ne__(self, other: Any) -> Any:
        return np.not_equal(self, other)


def _operators() -> None:
    """``a + b`` asks NumPy unless b is an array too, so that other libraries' types get their say; ``a += b`` does
    not."""

    def forward(name: str) -> Any:
        def operator(self: ndarray, other: Any) -> Any:
            if isinstance(other, ndarray):
                return getattr(sys.modules["cupy"], name)(self, other)
            if getattr(other, "__array_ufunc__", self) is None:
                return NotImplemented
            return getattr(np, name)(self, other)

        return operator

    def backward(name: str) -> Any:
        return lambda self, other: getattr(sys.modules["cupy"], name)(other, self)

    def in_place(name: str) -> Any:
        return lambda self, other: getattr(sys.modules["cupy"], name)(self, other, out=self)

    def unary(name: str) -> Any:
        return lambda self: getattr(sys.modules["cupy"], name)(self)

    arithmetic = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "lshift": "left_shift", "rshift": "right_shift",
    }  # fmt: skip
    for short, name in arithmetic.items():
        setattr(ndarray, f"__{short}__", forward(name))
        setattr(ndarray, f"__r{short}__", backward(name))
        setattr(ndarray, f"__i{short}__", in_place(name))
    for short, name in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
        setattr(ndarray, f"__{short}__", forward(name))
    for short, name in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
        setattr(ndarray, f"__{short}__", unary(name))
    ndarray.__matmul__ = forward("matmul")  # type: ignore[attr-defined]


_operators()
