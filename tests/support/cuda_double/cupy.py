"""The double's namespace: the functions of CuPy 14 that NumPy's names may lead to, with CuPy's arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import special

from .array import SCALARS, host_of, ndarray, wrap
from .memory import Device, cuda, pool
from .raw import ElementwiseKernel, RawModule

bool_, int32, int64, float16, float32, float64 = np.bool_, np.int32, np.int64, np.float16, np.float32, np.float64
newaxis, inf, nan, pi = None, np.inf, np.nan, np.pi
result_type, promote_types, finfo, iinfo = np.result_type, np.promote_types, np.finfo, np.iinfo


# --- element by element ----------------------------------------------------------------------------------------------


class Ufunc:
    """A ufunc with the arguments and methods that CuPy's have."""

    def __init__(self, ufunc: Any) -> None:
        self.ufunc = ufunc
        self.__name__ = ufunc.__name__

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Any:
        given = [host_of(x) for x in args]
        with np.errstate(all="ignore"):
            result = self.ufunc(*given, **({} if dtype is None else {"dtype": dtype}))
        if out is None:
            return wrap(result)
        np.copyto(host_of(out), result, casting=casting)
        return out

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.__name__}.at` is not supported yet")
        a._scatter_op(indices, b, self.ufunc)

    def outer(self, a: ndarray, b: ndarray, **kwargs: Any) -> Any:
        return self(a.reshape(a.shape + (1,) * b.ndim), b, **kwargs)


_UFUNCS = """
    absolute add arctan bitwise_and bitwise_or bitwise_xor ceil cos cosh divide equal exp exp2 expm1 fabs floor
    floor_divide fmax fmin fmod greater greater_equal invert isfinite isinf isnan left_shift less less_equal log log10
    log1p log2 logical_and logical_not logical_or logical_xor matmul maximum minimum multiply negative not_equal
    positive power reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
    true_divide trunc
"""


def _floor_divide(a: Any, b: Any, **kwargs: Any) -> Any:
    whole = np.floor_divide(a, b, **kwargs)
    return np.floor(np.true_divide(a, b)).astype(whole.dtype) if whole.dtype.kind == "f" else whole


def _remainder(a: Any, b: Any, **kwargs: Any) -> Any:
    rest = np.remainder(a, b, **kwargs)
    return a - _floor_divide(a, b) * b if rest.dtype.kind == "f" else rest


globals().update({name: Ufunc(getattr(np, name)) for name in _UFUNCS.split()})
globals()["floor_divide"].ufunc, globals()["remainder"].ufunc = _floor_divide, _remainder  # CuPy's own formulas
abs = globals()["absolute"]
special_erf = Ufunc(special.erf)
special_erfc = Ufunc(special.erfc)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return condition.nonzero()
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    return wrap(np.where(condition._host, host_of(x), host_of(y)))


# --- arrays as wholes: NumPy's function on the memory behind ---------------------------------------------------------


def _down(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return type(x)(_down(y) for y in x)
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return x._host if isinstance(x, ndarray) else x


def _up(x: Any, source: ndarray | None) -> Any:
    if isinstance(x, (list, tuple)):
        return tuple(_up(y, source) for y in x)
    return wrap(x, source) if isinstance(x, (np.ndarray, np.generic, bool)) else x


def _lifted(name: str, parameters: str, module: Any = np) -> Any:
    """NumPy's function of that name for the double's arrays, with exactly these parameters ("*": any number)."""
    names, function = parameters.split(), getattr(module, name)

    def lifted(*args: Any, **kwargs: Any) -> Any:
        source = next((a for a in args if isinstance(a, ndarray)), None)
        if "*" not in names:
            if len(args) > len(names):
                raise TypeError(f"{name}() takes {len(names)} arguments, got {len(args)}")
            kwargs.update(zip(names[1:], args[1:], strict=False))
            args = args[:1] or (kwargs.pop(names[0]),)
        if unknown := set(kwargs) - set(names):
            raise TypeError(f"{name}() got unexpected arguments {unknown}")
        given = {_NUMPYS.get(key, key): _down(value) for key, value in kwargs.items()}
        with np.errstate(all="ignore"):
            return _up(function(*_down(args), **given), source)

    return lifted


_NUMPYS = {"newshape": "shape"}  # NumPy's names for parameters
_FUNCTIONS = {
    "allclose": "a b rtol atol equal_nan",
    "amax": "a axis out keepdims",
    "amin": "a axis out keepdims",
    "any": "a axis out keepdims",
    "arange": "start stop step dtype",
    "argmax": "a axis dtype out keepdims",
    "argmin": "a axis dtype out keepdims",
    "broadcast_to": "array shape",
    "concatenate": "tup axis out dtype casting",
    "copy": "a order",
    "cumsum": "a axis dtype out",
    "diag": "v k",
    "diagonal": "a offset axis1 axis2",
    "dot": "a b out",
    "empty": "shape dtype order",
    "empty_like": "prototype dtype order subok shape",
    "expand_dims": "a axis",
    "eye": "N M k dtype order",
    "flip": "a axis",
    "full": "shape fill_value dtype order",
    "full_like": "a fill_value dtype order subok shape",
    "isclose": "a b rtol atol equal_nan",
    "linspace": "start stop num endpoint retstep dtype axis",
    "max": "a axis out keepdims",
    "mean": "a axis dtype out keepdims",
    "meshgrid": "* copy sparse indexing",
    "min": "a axis out keepdims",
    "moveaxis": "a source destination",
    "ndim": "a",
    "ones": "shape dtype order",
    "ones_like": "a dtype order subok shape",
    "outer": "a b",
    "prod": "a axis dtype out keepdims",
    "ravel": "a order",
    "repeat": "a repeats axis",
    "reshape": "a newshape order copy",
    "roll": "a shift axis",
    "shape": "a",
    "split": "ary indices_or_sections axis",
    "squeeze": "a axis",
    "stack": "tup axis out dtype casting",
    "sum": "a axis dtype out keepdims",
    "swapaxes": "a axis1 axis2",
    "take_along_axis": "a indices axis",
    "tensordot": "a b axes",
    "tile": "A reps",
    "transpose": "a axes",
    "tril": "m k",
    "triu": "m k",
    "zeros": "shape dtype order",
    "zeros_like": "a dtype order subok shape",
}
globals().update({name: _lifted(name, parameters) for name, parameters in _FUNCTIONS.items()})


def _as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
    return wrap(np.lib.stride_tricks.as_strided(x._host, shape, strides), x)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """It moves NumPy's arrays to the device, where other functions refuse them."""
    return _einsum(subscripts, *[asarray(x) for x in operands], **kwargs)


_einsum = _lifted("einsum", "* dtype optimize")
lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided))
linalg = SimpleNamespace(norm=_lifted("norm", "x ord axis keepdims", np.linalg), qr=_lifted("qr", "a mode", np.linalg))


def all(a: ndarray, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    return a.all(axis, out, keepdims)


def take(a: ndarray, indices: Any, axis: Any = None, out: Any = None) -> Any:
    return a.take(indices, axis)


def clip(a: ndarray, a_min: Any, a_max: Any, out: Any = None) -> Any:
    result = a.clip(a_min, a_max)
    if out is None:
        return result
    out[...] = result
    return out


def shares_memory(a: ndarray, b: ndarray, max_work: Any = None) -> bool:
    return np.shares_memory(a._host, b._host)


def may_share_memory(a: ndarray, b: ndarray, max_work: Any = None) -> bool:
    return np.may_share_memory(a._host, b._host)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K", subok: bool = False, ndmin: int = 0) -> Any:
    """Numbers, nested lists, NumPy's or the double's arrays, copied to the device."""
    if isinstance(obj, (list, tuple)):
        obj = [array(x)._host if isinstance(x, (list, tuple, ndarray)) else x for x in obj]
    host = np.array(obj._host if isinstance(obj, ndarray) else obj, dtype, copy=True, order=order, ndmin=ndmin)  # type: ignore[call-overload]
    if host.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    return wrap(host)


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> Any:
    """An array of the double as it is, whichever device it is on; all else copied to the device."""
    if isinstance(a, ndarray) and (dtype is None or a.dtype == dtype) and not copy:
        return a
    return array(a, dtype, order=order or "K")


def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    a = asarray(a, dtype)
    return a if a.flags.c_contiguous else a.copy()


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None) -> Any:
    return a.get(order=order) if isinstance(a, ndarray) else np.asarray(a)


def isscalar(element: Any) -> bool:
    return isinstance(element, SCALARS)


def get_default_memory_pool() -> Any:
    return pool


# --- random numbers --------------------------------------------------------------------------------------------------


class Generator:
    """The few distributions of cupy.random.Generator that are used; it has neither permutation nor choice."""

    def __init__(self, seed: Any) -> None:
        self._numpy = np.random.default_rng(seed)

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        kind = np.dtype(dtype)
        return wrap(self._numpy.random(size, np.float64 if kind == np.float64 else np.float32).astype(kind, copy=False))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> ndarray:
        if np.dtype(dtype).char not in "fd":
            raise TypeError(f"Unsupported dtype {np.dtype(dtype).name} for standard_normal")
        return wrap(self._numpy.standard_normal(size, dtype))

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> ndarray:
        return wrap(np.asarray(self._numpy.integers(int(low), high, size, dtype, endpoint)))


random = SimpleNamespace(default_rng=Generator, Generator=Generator)

__all__ = ["Device", "ElementwiseKernel", "RawModule", "cuda", "ndarray"]
