"""What the graph needs to know of a tensor: its array, its gradient, and the op that made it."""

from __future__ import annotations

import linecache
import os
import sys
from typing import Any, ClassVar

import numpy as np

from .. import cuda

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


_new = object.__new__


class Variable:
    """An array with a place in the graph. :class:`minigrad.Tensor` gives it its public face.

    Pointers run backwards only (tensor → node that made it → the nodes and leaves before), so that a finished step
    is freed at once by reference counts, without the cycle collector.
    """

    __slots__ = ("__weakref__", "_array", "_base", "_grad", "_hooks", "_node", "_requires_grad", "_version", "_views")

    face: ClassVar[Any]  # the class that results of ops have (set by minigrad.tensor)
    namespace: ClassVar[Any]  # NumPy's function names on tensors (set by minigrad.ops)

    _array: Any
    _requires_grad: bool
    _grad: Any  # the gradient, itself a Variable, or None
    _node: Any  # the node that made this tensor; None for a leaf
    _version: list[Any]  # [how often the memory was changed in place, by what]; shared by all views of the memory
    _base: Any  # for a view: (the tensor whose memory it shows, the view ops that lead there), else None
    _views: Any  # weak references to the views of this tensor, or None
    _hooks: Any  # gradient hooks of a leaf, or None

    @staticmethod
    def _wrap(array: Any) -> Any:
        """A tensor around an array, without a copy and without a gradient."""
        t = _new(Variable.face)
        t._array = array
        t._requires_grad = False
        t._grad = t._node = t._base = t._views = t._hooks = None
        t._version = [0]
        return t

    def _bump(self, by: str = "") -> None:
        """Note that the memory was changed in place, and by what."""
        self._version[0] += 1
        if by:
            self._version[1:] = [f"{by} ({user_line()})"]


def wrap(array: Any) -> Any:
    """:meth:`Variable._wrap`, and NumPy's scalars made arrays again (``np.add`` of 0-d arrays returns a scalar)."""
    return Variable._wrap(array if array.__class__ is np.ndarray or not isinstance(array, np.generic) else np.asarray(array))


def namespace(x: Any) -> Any:
    """The functions that go with ``x``, under NumPy's names: NumPy's own, CuPy's, or differentiable ones on Tensors."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    if isinstance(x, Variable):
        return Variable.namespace
    return cuda.require()


def user_line() -> str:
    """``file.py:12, in train: loss.backward()``: the innermost line on the stack that is not minigrad's own."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    name = frame.f_code.co_filename
    source = linecache.getline(name, frame.f_lineno).strip()
    return f"{name}:{frame.f_lineno}, in {frame.f_code.co_name}" + (f": {source}" if source else "")
