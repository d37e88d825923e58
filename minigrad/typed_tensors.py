"""``LongTensor([1, 2])``: constructors with the dtype in their names, older than ``tensor(..., dtype=...)`` and still
met in many programs."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from . import dtypes
from .creation import empty, tensor
from .tensor import Size, Tensor


class _Typed(type):
    """The class of these constructors: calling one makes a Tensor, and a Tensor of its dtype counts as its instance."""

    dtype: np.dtype[Any]  # NumPy's, so that ``x.type(LongTensor)`` works as ``x.type(int64)`` does

    def __new__(mcs, name: str, kind: dtypes.dtype) -> _Typed:
        doc = f"``{name}(data)``, or ``{name}(*sizes)`` without values: a tensor of {kind.name} on the CPU."
        return super().__new__(mcs, name, (), {"dtype": kind.numpy, "__doc__": doc, "__module__": "minigrad"})

    def __init__(cls, name: str, kind: dtypes.dtype) -> None:
        super().__init__(name, (), {})

    def __call__(cls, *args: Any) -> Any:
        kind = dtypes.as_dtype(cls.dtype)
        if len(args) == 1 and not isinstance(args[0], (int, np.integer, Size)):
            data = args[0]
            if isinstance(data, Tensor):
                return data.detach() if data.dtype is kind else _refuse(cls.__name__, data, kind)
            return tensor(data, dtype=kind)
        return empty(*(args or (0,)), dtype=kind)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance._array.dtype == cls.dtype and not instance.is_cuda


def _refuse(name: str, data: Any, kind: dtypes.dtype) -> NoReturn:
    raise TypeError(f"{name}: the tensor has dtype {data.dtype}; expected {kind}: use data.to({kind})")


FloatTensor = _Typed("FloatTensor", dtypes.float32)
DoubleTensor = _Typed("DoubleTensor", dtypes.float64)
HalfTensor = _Typed("HalfTensor", dtypes.float16)
ByteTensor = _Typed("ByteTensor", dtypes.uint8)
CharTensor = _Typed("CharTensor", dtypes.int8)
ShortTensor = _Typed("ShortTensor", dtypes.int16)
IntTensor = _Typed("IntTensor", dtypes.int32)
LongTensor = _Typed("LongTensor", dtypes.int64)
BoolTensor = _Typed("BoolTensor", dtypes.bool_)
