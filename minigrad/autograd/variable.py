"""What the graph needs to know of a tensor: its array, its gradient, and the op that made it."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
import weakref
from types import CodeType, FrameType
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

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: Any = None) -> Any:
        """``Variable(data)``: the tensor's data as a leaf of its own, which shares the memory.

        Before PyTorch 0.4 that was the way into the graph, and programs still say it; a tensor needs no Variable.
        """
        if not isinstance(data, Variable):
            raise TypeError(
                f"Variable: data must be a Tensor, got {type(data).__name__}; make one: minigrad.tensor(data)"
            )
        if volatile is not None:
            warnings.warn("Variable: volatile has no effect, as in PyTorch; use minigrad.no_grad()", stacklevel=2)
        return data.detach().requires_grad_(requires_grad)  # type: ignore[attr-defined]

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
        """Note that the memory was changed in place, by what and where."""
        version = self._version
        version[0] += 1
        if by:
            frame = _user_frame()
            version[1:] = (by, frame.f_code, frame.f_lineno)


def wrap(array: Any) -> Any:
    """:meth:`Variable._wrap`, and NumPy's scalars made arrays again (``np.add`` of 0-d arrays returns a scalar)."""
    return Variable._wrap(
        array if array.__class__ is np.ndarray or not isinstance(array, np.generic) else np.asarray(array)
    )


def remember_view(source: Any, view: Any, cls: Any, options: tuple[Any, ...]) -> None:
    """If ``view`` shows ``source``'s memory: share the version, and note how to make the view again."""
    if not isinstance(source, Variable):
        return
    a, b = source._array, view._array
    if b.base is None or (b.base is not a and b.base is not a.base):
        return  # NumPy had to copy
    view._version = source._version
    base, steps = source._base if source._base is not None else (source, ())
    view._base = (base, (*steps, (cls, options)))
    if base._node is None and base._requires_grad:
        return  # a leaf that requires a gradient refuses in-place changes, so its views never have to be found again
    if base._views is None:
        base._views = []
    elif len(base._views) >= 32 and len(base._views) & (len(base._views) - 1) == 0:
        base._views = [r for r in base._views if r() is not None]
    base._views.append(weakref.ref(view))


def namespace(x: Any) -> Any:
    """The functions that go with ``x``, under NumPy's names: NumPy's own, CuPy's, or differentiable ones on Tensors."""
    if isinstance(x, (np.ndarray, np.generic)):
        return np
    if isinstance(x, Variable):
        return Variable.namespace
    return cuda.require()


def overlapping(array: Any) -> bool:
    """Whether elements of an array may share memory, as those of an expanded one do: then it cannot change in place."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return False
    reach = array.itemsize  # bytes that the axes looked at so far cover
    for step, n in sorted((abs(step), n) for step, n in zip(array.strides, array.shape, strict=True) if n > 1):
        if step < reach:
            return True
        reach += step * (n - 1)
    return False


def _user_frame() -> FrameType:
    """The innermost frame on the stack that is not minigrad's own."""
    frame = sys._getframe(3)  # the two nearest ones are always ours
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """``file.py:12, in train: loss.backward()``: the user's line that is being run."""
    frame = _user_frame()
    return line_text(frame.f_code, frame.f_lineno)


def line_text(code: CodeType, number: int) -> str:
    """A line of code as a reader finds it."""
    source = linecache.getline(code.co_filename, number).strip()
    return f"{code.co_filename}:{number}, in {code.co_name}" + (f": {source}" if source else "")
