"""The tensor: an array, its gradient, and its place in the graph.

Its methods are the functions of :mod:`minigrad.ops` (``x.exp()`` is ``ops.elementwise.exp(x)``), its operators those
of arithmetic. This file adds what is the tensor's own: attributes, conversion, change in place, NumPy and DLPack.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any

import numpy as np

from . import devices, dtypes
from .autograd import engine
from .autograd.handles import RemovableHandle
from .autograd.hooks import RETAIN, hooks_of
from .autograd.node import Output
from .autograd.op import Op
from .autograd.variable import Variable, wrap
from .errors import DeviceError, DtypeError, GraphError, ShapeError
from .inplace import InPlace, write
from .ops import activation, added_products, arithmetic, comparison, elementwise, indexing, reduction
from .ops import matmul as products
from .ops import shape as shapes
from .ops.common import cast
from .printing import tensor_text


class Size(tuple[int, ...]):
    """A shape: a tuple of sizes that prints as ``minigrad.Size([2, 3])``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"minigrad.Size({list(self)})"

    def numel(self) -> int:
        """The number of elements."""
        n = 1
        for size in self:
            n *= size
        return n


class ToDevice(Op):
    """x on another device.   dx: dy brought back."""

    @staticmethod
    def forward(ctx: Any, x: Any, where: devices.device) -> Any:
        ctx.source = devices.of_array(x)
        return devices.move(x, where)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return ToDevice.apply(dy, ctx.source) if isinstance(dy, Variable) else devices.move(dy, ctx.source)


class Tensor(Variable, InPlace):
    """A multi-dimensional array that knows how it was computed.

    ``Tensor(data)`` makes a float32 tensor of a sequence, as in PyTorch; :func:`minigrad.tensor` is the usual way, and
    keeps the data's own type.
    """

    # Above ndarray's, so that ``array * tensor`` asks the tensor.
    __array_priority__ = 1000

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(
                f"{cls.__name__}: unknown argument {next(iter(kwargs))!r}; minigrad.tensor(data, dtype=..., "
                "requires_grad=...) takes options"
            )
        if len(args) == 1 and isinstance(args[0], Tensor):
            t = shapes.reshape(args[0], args[0]._array.shape)  # a view, as in PyTorch
        else:
            t = Variable._wrap(_data(*args))
        if cls is not Tensor:
            t.__class__ = cls
        return t

    # --- attributes --------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The size of each axis."""
        return Size(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self._array.ndim)

    @property
    def dtype(self) -> dtypes.dtype:
        """The type of the elements."""
        return dtypes.of_array(self._array)

    @property
    def device(self) -> devices.device:
        """Where the elements live."""
        return devices.of_array(self._array)

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def T(self) -> Any:
        """The axes in reverse order."""
        return shapes.permute(self, *range(self._array.ndim - 1, -1, -1))

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        if self._array.ndim < 2:
            raise ShapeError(f"mT: expected at least 2 axes, got shape {self._array.shape}")
        return shapes.transpose(self, -2, -1)

    @property
    def itemsize(self) -> int:
        return int(self._array.itemsize)

    @property
    def nbytes(self) -> int:
        return int(self._array.nbytes)

    @property
    def requires_grad(self) -> bool:
        """Whether ops on this tensor are recorded, so that a gradient can reach it."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch recording for this leaf. Only floating tensors can carry a gradient."""
        if requires_grad and self._array.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad: only floating tensors carry gradients, this one is {self.dtype}; use .float()"
            )
        if not requires_grad and self._node is not None:
            raise GraphError("requires_grad: only leaves can be switched off; use .detach() for a tensor made by an op")
        self._requires_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Any:
        """The gradient gathered by ``backward``, a tensor of this one's shape, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value._array.shape != self._array.shape:
                raise ShapeError(f"grad: expected shape {self._array.shape}, got {value._array.shape}")
            if isinstance(value._array, np.ndarray) is not isinstance(self._array, np.ndarray):
                raise DeviceError(f"grad: this tensor is on {self.device}, the gradient on {value.device}")
            if value._array.dtype != self._array.dtype:
                raise DtypeError(f"grad: expected {self.dtype}, got {value.dtype}")
        self._grad = value

    @property
    def grad_fn(self) -> Any:
        """The node of the op that made this tensor; None for a leaf."""
        return self._node.node if isinstance(self._node, Output) else self._node

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this tensor: ``backward`` leaves gradients in leaves that require one."""
        return self._node is None

    @property
    def data(self) -> Tensor:
        """The same memory without the graph, which does not notice changes here: prefer ``detach`` or ``no_grad``."""
        return wrap(self._array)

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"data: expected a Tensor, got {type(value).__name__}")
        if self._requires_grad and value._array.dtype.kind != "f":
            raise DtypeError(f"data: this tensor requires a gradient and cannot hold {value.dtype}")
        self._array = value._array

    @property
    def _version_number(self) -> int:
        return int(self._version[0])

    # --- the graph ---------------------------------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
    ) -> None:
        """Add ∂self/∂leaf to the ``grad`` of every leaf below (see :func:`minigrad.autograd.backward`)."""
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory, out of the graph. A change in place is still seen by the graph's version check."""
        t = wrap(self._array)
        t._version = self._version
        return t

    def detach_(self) -> Tensor:
        """Take this tensor itself out of the graph."""
        if self._base is not None:
            raise GraphError("detach_: a view cannot be detached in place; use detach()")
        self._node = None
        self._requires_grad = False
        return self

    def retain_grad(self) -> None:
        """Keep ``grad`` for this tensor although it is not a leaf."""
        if not self._requires_grad:
            raise GraphError("retain_grad: this tensor does not require a gradient")
        if self._node is None:
            return
        me = weakref.ref(self)

        def keep(g: Any) -> None:
            tensor = me()
            if tensor is not None:
                kept = g if g._requires_grad else wrap(g._array.copy())
                tensor._grad = kept if tensor._grad is None else tensor._grad + kept

        hooks_of(self._node, make=True)[RETAIN] = keep

    def register_hook(self, hook: Any) -> Any:
        """Call ``hook(gradient)`` when this tensor's gradient is known; it may return a replacement.

        Returns a handle whose ``remove()`` takes the hook away.
        """
        if not self._requires_grad:
            raise GraphError("register_hook: this tensor does not require a gradient, so none will ever arrive")
        if self._node is None:
            if self._hooks is None:
                self._hooks = OrderedDict()
            hooks = self._hooks
        else:
            hooks = hooks_of(self._node, make=True)
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if RETAIN in hooks:
            hooks.move_to_end(RETAIN)  # what is kept is what the hooks made of it
        return handle

    # --- conversion --------------------------------------------------------------------------------------------------

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Another dtype or device: ``x.to(dtype)``, ``x.to(device)``, ``x.to(device, dtype)``, ``x.to(other)``.

        Differentiable; the tensor itself if nothing changes.
        """
        kwargs.pop("non_blocking", None)
        copy = kwargs.pop("copy", False)
        where, kind = kwargs.pop("device", None), kwargs.pop("dtype", None)
        if kwargs:
            raise TypeError(f"to: unknown argument {next(iter(kwargs))!r}")
        for a in args:
            if isinstance(a, Tensor):
                where, kind = a.device, a.dtype
            elif isinstance(a, (devices.device, str)) and not (isinstance(a, str) and a in _DTYPE_NAMES):
                where = a
            elif isinstance(a, bool):
                continue  # non_blocking
            else:
                kind = a
        x = self
        if kind is not None:
            x = cast(x, dtypes.as_dtype(kind).numpy)
        if where is not None:
            target = devices.device(where)
            here = x.device
            if target.type != here.type or (target.index is not None and target.type == "cuda" and target != here):
                x = ToDevice.apply(x, target)
        return x.clone() if copy and x is self else x

    def type(self, dtype: Any = None) -> Any:
        """The tensor in another dtype, or, without one, the dtype's name."""
        return repr(self.dtype) if dtype is None else self.to(dtype)

    def type_as(self, other: Any) -> Any:
        return self.to(other.dtype)

    def float(self) -> Any:
        return self.to(dtypes.float32)

    def double(self) -> Any:
        return self.to(dtypes.float64)

    def half(self) -> Any:
        return self.to(dtypes.float16)

    def long(self) -> Any:
        return self.to(dtypes.int64)

    def int(self) -> Any:
        return self.to(dtypes.int32)

    def bool(self) -> Any:
        return self.to(dtypes.bool_)

    def cpu(self) -> Any:
        return self.to("cpu")

    def cuda(self, device: Any = None) -> Any:
        return self.to("cuda" if device is None else devices.device(device))

    def numpy(self, *, force: bool = False) -> np.ndarray[Any, Any]:  # type: ignore[valid-type]
        """The elements as a NumPy array that shares this tensor's memory.

        Raises:
            GraphError: the tensor requires a gradient (``detach()`` first, or ``force=True``).
            DeviceError: it lives on a GPU (``cpu()`` first, or ``force=True``).
        """
        if force:
            return devices.move(self._array, devices.CPU)
        if self._requires_grad:
            raise GraphError("numpy: this tensor requires a gradient, which NumPy would lose; use .detach().numpy()")
        if not isinstance(self._array, np.ndarray):
            raise DeviceError("numpy: this tensor lives on a GPU; use .cpu().numpy()")
        return self._array

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._array.size != 1:
            raise ShapeError(
                f"item: only a tensor with one element has an item, this one has shape {self._array.shape}"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._array.tolist()

    def contiguous(self, memory_format: Any = None) -> Any:
        """Itself if its memory is in row-major order, else a copy that is."""
        return self if self._array.flags.c_contiguous else self.clone()

    def is_contiguous(self, memory_format: Any = None) -> Any:
        return bool(self._array.flags.c_contiguous)

    def size(self, dim: Any = None) -> Any:
        """The shape, or the size of one axis."""
        return self.shape if dim is None else self._array.shape[dim]

    def numel(self) -> Any:
        """The number of elements."""
        return int(self._array.size)

    nelement = numel

    def dim(self) -> Any:
        return self.ndim

    def element_size(self) -> Any:
        return self.itemsize

    def stride(self, dim: Any = None) -> Any:
        """How many elements to step in memory for one step along each axis."""
        steps = tuple(s // self._array.itemsize for s in self._array.strides)
        return steps if dim is None else steps[dim]

    def is_floating_point(self) -> Any:
        return self._array.dtype.kind == "f"

    def data_ptr(self) -> Any:
        """The address of the first element."""
        a = self._array
        return a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr

    def new_tensor(self, data: Any) -> Tensor:
        return wrap(devices.array_module(self.device).asarray(data, dtype=self._array.dtype))

    def new_zeros(self, *sizes: Any, size: Any = None, **options: Any) -> Any:
        """Zeros with this tensor's dtype and device, unless :meth:`new_full`'s options say otherwise."""
        return self.new_full(sizes if size is None else size, 0, **options)

    def new_ones(self, *sizes: Any, size: Any = None, **options: Any) -> Any:
        """Ones with this tensor's dtype and device, unless :meth:`new_full`'s options say otherwise."""
        return self.new_full(sizes if size is None else size, 1, **options)

    def new_full(
        self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: Any = False
    ) -> Any:
        """A constant with this tensor's dtype and device, unless others are given."""
        where = self.device if device is None else devices.device(device)
        kind = self.dtype if dtype is None else dtypes.as_dtype(dtype)
        value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
        with devices.active(where):
            array = devices.array_module(where).full(shapes.sizes_of(tuple(size), "new_full"), value, kind.numpy)
        return wrap(array).requires_grad_(requires_grad)

    def view(self, *sizes: Any, size: Any = None) -> Any:
        """The same memory under another shape; an error where that would need a copy. ``view(dtype)`` is not there."""
        target = shapes.sizes_of(sizes if size is None else (size,), "view")
        y = shapes.reshape(self, target)
        if y._array.size and y._base is None:
            raise ShapeError(
                f"view: a tensor of shape {self._array.shape} and strides {self.stride()} cannot be seen as {target} "
                "without a copy; use reshape or contiguous().view"
            )
        return y

    def split(self, split_size: Any, dim: Any = 0) -> Any:
        """Views of pieces along ``dim``: :func:`minigrad.split`."""
        return shapes.split(self, split_size, dim)

    def view_as(self, other: Any) -> Any:
        return self.view(other.shape)

    def reshape_as(self, other: Any) -> Any:
        return shapes.reshape(self, other._array.shape)

    def expand_as(self, other: Any) -> Any:
        return shapes.expand(self, other._array.shape)

    # --- Python's protocols ------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return tensor_text(self)

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.ndim == 0 else format(repr(self), spec)

    def __len__(self) -> Any:
        if not self._array.ndim:
            raise TypeError("len: a tensor without axes has no length")
        return self._array.shape[0]

    def __iter__(self) -> Any:
        if not self._array.ndim:
            raise TypeError("iter: a tensor without axes cannot be iterated over")
        return iter(shapes.unbind(self))

    def __bool__(self) -> Any:
        if self._array.size != 1:
            raise ShapeError(
                f"bool: the truth of a tensor with {self._array.size} elements is ambiguous; use .any() or .all()"
            )
        return bool(self._array.item())

    def __int__(self) -> Any:
        return int(self.item())

    def __float__(self) -> Any:
        return float(self.item())

    def __index__(self) -> Any:
        if self._array.dtype.kind not in "iu" or self._array.size != 1:
            raise TypeError("index: only an integer tensor with one element can be used as an index")
        return int(self._array.item())

    def __contains__(self, value: Any) -> Any:
        return bool((self == value).any())

    __hash__ = object.__hash__  # by identity: == compares elements

    def __deepcopy__(self, memo: Any) -> Any:
        if self._node is not None:
            raise GraphError("deepcopy: only leaves can be copied; use detach() or clone()")
        copied = wrap(self._array.copy())
        copied.__class__ = self.__class__
        copied._requires_grad = self._requires_grad
        copied._grad = None if self._grad is None else wrap(self._grad._array.copy())
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        if self._node is not None:
            raise GraphError("pickle: only leaves can be pickled; use detach()")
        return _rebuild, (type(self), self._array, self._requires_grad)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        array = self.numpy()
        return np.array(array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """``np.exp(tensor)``, ``array + tensor``: the differentiable op of that name, else NumPy on the bare arrays."""
        name = _UFUNCS.get(ufunc.__name__)
        if method == "__call__" and name is not None and not kwargs:
            op = next(getattr(m, name) for m in _UFUNC_HOMES if hasattr(m, name))
            return op(*[wrap(x) if isinstance(x, np.ndarray) else x for x in inputs])
        if kwargs.get("out") is not None and any(isinstance(o, Tensor) for o in kwargs["out"]):
            return NotImplemented
        arrays = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
        result = getattr(ufunc, method)(*arrays, **kwargs)
        return result

    def __dlpack__(self, **kwargs: Any) -> Any:
        if self._requires_grad:
            raise GraphError("dlpack: this tensor requires a gradient, which would be lost; use .detach()")
        return self._array.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    # --- operators ---------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        return arithmetic.binary(arithmetic.Add, self, other)

    def __radd__(self, other: Any) -> Any:
        return arithmetic.binary(arithmetic.Add, other, self)

    def __sub__(self, other: Any) -> Any:
        if self._array.dtype.kind == "b":
            return arithmetic.sub(self, other)
        return arithmetic.binary(arithmetic.Sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return arithmetic.binary(arithmetic.Sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return arithmetic.binary(arithmetic.Mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return arithmetic.binary(arithmetic.Mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return arithmetic.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return arithmetic.div(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return arithmetic.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return arithmetic.floor_divide(other, self)

    def __mod__(self, other: Any) -> Any:
        return arithmetic.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return arithmetic.remainder(other, self)

    def __pow__(self, other: Any) -> Any:
        return arithmetic.pow(self, other)

    def __rpow__(self, other: Any) -> Any:
        return arithmetic.pow(other, self)

    def __matmul__(self, other: Any) -> Any:
        return products.matmul(self, wrap(other) if isinstance(other, np.ndarray) else other)

    def __rmatmul__(self, other: Any) -> Any:
        return products.matmul(wrap(other) if isinstance(other, np.ndarray) else other, self)

    __neg__ = arithmetic.neg
    __abs__ = elementwise.abs_
    __invert__ = comparison.bitwise_not

    def __pos__(self) -> Tensor:
        return self

    def __eq__(self, other: Any) -> Any:
        return comparison.eq(self, other)

    def __ne__(self, other: Any) -> Any:
        return comparison.ne(self, other)

    __lt__ = comparison.lt
    __le__ = comparison.le
    __gt__ = comparison.gt
    __ge__ = comparison.ge
    __and__ = __rand__ = comparison.bitwise_and
    __or__ = __ror__ = comparison.bitwise_or
    __xor__ = __rxor__ = comparison.bitwise_xor
    __getitem__ = indexing.getitem

    def __setitem__(self, index: Any, value: Any) -> None:
        write(self, indexing.as_index(index, self._array.shape), value)

    # --- methods that are ops ----------------------------------------------------------------------------------------

    add = arithmetic.add
    sub = subtract = arithmetic.sub
    mul = multiply = arithmetic.mul
    div = divide = true_divide = arithmetic.div
    floor_divide = arithmetic.floor_divide
    remainder = arithmetic.remainder
    neg = negative = arithmetic.neg
    pow = arithmetic.pow
    square = arithmetic.square
    exp = elementwise.exp
    expm1 = elementwise.expm1
    log = elementwise.log
    log1p = elementwise.log1p
    log2 = elementwise.log2
    log10 = elementwise.log10
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    reciprocal = arithmetic.reciprocal
    sin = elementwise.sin
    cos = elementwise.cos
    tan = elementwise.tan
    tanh = elementwise.tanh
    erf = elementwise.erf
    abs = absolute = elementwise.abs_
    sign = elementwise.sign
    floor = elementwise.floor
    ceil = elementwise.ceil
    trunc = elementwise.trunc
    round = elementwise.round_
    clamp = clip = elementwise.clamp
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    clone = elementwise.clone
    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_xor = comparison.logical_xor
    logical_not = comparison.logical_not
    bitwise_and = comparison.bitwise_and
    bitwise_or = comparison.bitwise_or
    bitwise_xor = comparison.bitwise_xor
    bitwise_not = comparison.bitwise_not
    isnan = comparison.isnan
    isinf = comparison.isinf
    isfinite = comparison.isfinite
    allclose = comparison.allclose
    isclose = comparison.isclose
    equal = comparison.equal

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where ``condition`` holds, else ``other``."""
        return elementwise.where(condition, self, other)

    sigmoid = activation.sigmoid
    relu = activation.relu
    softmax = activation.softmax
    log_softmax = activation.log_softmax
    sum = reduction.sum_
    mean = reduction.mean
    prod = reduction.prod
    var = reduction.var
    std = reduction.std
    max = reduction.max_
    min = reduction.min_
    amax = reduction.amax
    amin = reduction.amin
    argmax = reduction.argmax
    argmin = reduction.argmin
    norm = reduction.norm
    logsumexp = reduction.logsumexp
    cumsum = reduction.cumsum
    all = reduction.all_
    any = reduction.any_
    count_nonzero = reduction.count_nonzero
    median = reduction.median
    matmul = products.matmul
    mm = products.mm
    bmm = products.bmm
    mv = products.mv
    dot = products.dot
    outer = products.outer
    addmm = added_products.addmm
    addmv = added_products.addmv
    addr = added_products.addr
    addbmm = added_products.addbmm
    baddbmm = added_products.baddbmm
    reshape = shapes.reshape
    flatten = shapes.flatten
    unflatten = shapes.unflatten
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    permute = shapes.permute
    t = shapes.t
    movedim = shapes.movedim
    expand = shapes.expand
    broadcast_to = shapes.broadcast_to
    repeat = shapes.repeat
    tile = shapes.tile
    repeat_interleave = shapes.repeat_interleave
    chunk = shapes.chunk
    unbind = shapes.unbind
    flip = shapes.flip
    roll = shapes.roll
    tril = shapes.tril
    triu = shapes.triu
    diagonal = shapes.diagonal
    diag = shapes.diag
    gather = indexing.gather
    scatter = indexing.scatter
    scatter_add = indexing.scatter_add
    index_select = indexing.index_select
    masked_fill = indexing.masked_fill
    masked_select = indexing.masked_select
    nonzero = indexing.nonzero
    argsort = indexing.argsort
    sort = indexing.sort
    topk = indexing.topk


_DTYPE_NAMES = {d.name for d in dtypes._BY_NUMPY.values()}
_UFUNC_HOMES = (Variable.namespace, arithmetic, comparison, elementwise)
_UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "power": "pow", "negative": "neg",
    "remainder": "remainder", "floor_divide": "floor_divide", "exp": "exp", "expm1": "expm1", "log": "log",
    "log1p": "log1p", "log2": "log2", "log10": "log10", "sqrt": "sqrt", "square": "square", "sin": "sin", "cos": "cos",
    "tan": "tan", "tanh": "tanh", "absolute": "abs_", "sign": "sign", "floor": "floor", "ceil": "ceil",
    "trunc": "trunc", "rint": "round_", "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le",
    "greater": "gt", "greater_equal": "ge", "logical_and": "logical_and", "logical_or": "logical_or",
    "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "reciprocal": "reciprocal",
    "logical_not": "logical_not", "logical_xor": "logical_xor", "bitwise_and": "bitwise_and", "invert": "bitwise_not",
    "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor", "matmul": "matmul", "maximum": "maximum",
    "minimum": "minimum",
}  # fmt: skip


def _data(*args: Any) -> Any:
    """What ``Tensor(...)`` holds: an empty tensor, sizes (uninitialised, as in PyTorch), or the data, as float32."""
    kind = dtypes.get_default_dtype().numpy
    if not args:
        return np.empty(0, kind)
    if all(isinstance(a, (int, np.integer)) and not isinstance(a, bool) for a in args):
        return np.empty(shapes.sizes_of(args, "Tensor"), kind)
    if len(args) > 1:
        raise TypeError("Tensor: give sizes or one sequence of data; use minigrad.tensor(data, dtype=...) for more")
    return np.asarray(args[0], dtype=kind)


def _rebuild(kind: Any, array: Any, requires_grad: Any) -> Any:
    t = wrap(array.view(array.dtype.type))  # NumPy's own dtype object, which pickling makes a copy of
    t.__class__ = kind
    t._requires_grad = requires_grad
    return t


Variable.face = Tensor
