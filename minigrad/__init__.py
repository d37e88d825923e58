"""minigrad: automatic differentiation that can be read in an evening, under PyTorch's names.

    import minigrad
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                      # tensor([2., 4.])

Read :mod:`minigrad.tensor` (what a tensor is), :mod:`minigrad.autograd.engine` (the backward pass), and the files of
:mod:`minigrad.ops` (every op's equation, forward and backward).
"""

from __future__ import annotations

import importlib
from builtins import bool as _bool
from builtins import int as _int
from typing import TYPE_CHECKING, Any

import numpy as _np

from . import autograd, cuda, kernels, ops
from .autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .autograd.variable import Variable as _Variable
from .creation import (
    arange,
    as_tensor,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    meshgrid,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from .devices import device
from .dtypes import (
    bool_ as bool,
)
from .dtypes import (
    double,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    short,
    uint8,
)
from .dtypes import (
    float32 as float,
)
from .dtypes import (
    int32 as int,
)
from .errors import AnomalyError, DeviceError, DtypeError, GraphError, ShapeError
from .kernels import get_num_threads, set_num_threads
from .ops.activation import log_softmax, relu, sigmoid, softmax
from .ops.added_products import addbmm, addmm, addmv, addr, baddbmm
from .ops.arithmetic import (
    add,
    div,
    floor_divide,
    mul,
    neg,
    pow,
    reciprocal,
    remainder,
    square,
    sub,
)
from .ops.comparison import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
)
from .ops.conv_functions import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from .ops.distance import cosine_similarity, pairwise_distance
from .ops.dropout import dropout
from .ops.elementwise import (
    abs_ as abs,
)
from .ops.elementwise import (
    ceil,
    clamp,
    clone,
    cos,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    log2,
    log10,
    maximum,
    minimum,
    rsqrt,
    sign,
    sin,
    sqrt,
    tan,
    tanh,
    trunc,
    where,
)
from .ops.elementwise import (
    round_ as round,
)
from .ops.indexing import (
    argsort,
    gather,
    index_select,
    masked_fill,
    masked_select,
    nonzero,
    scatter,
    scatter_add,
    sort,
    topk,
)
from .ops.matmul import bmm, dot, einsum, matmul, mm, mv, outer
from .ops.pooling import adaptive_avg_pool1d, avg_pool1d, max_pool1d, max_pool1d_with_indices, max_pool2d
from .ops.reduction import (
    all_ as all,
)
from .ops.reduction import (
    amax,
    amin,
    argmax,
    argmin,
    count_nonzero,
    cumsum,
    logsumexp,
    mean,
    median,
    norm,
    prod,
    std,
    var,
    var_mean,
)
from .ops.reduction import (
    any_ as any,
)
from .ops.reduction import (
    max_ as max,
)
from .ops.reduction import (
    min_ as min,
)
from .ops.reduction import (
    sum_ as sum,
)
from .ops.shape import (
    broadcast_to,
    cat,
    chunk,
    diag,
    diagonal,
    flatten,
    flip,
    hstack,
    movedim,
    permute,
    repeat_interleave,
    reshape,
    roll,
    split,
    squeeze,
    stack,
    swapaxes,
    t,
    tile,
    transpose,
    tril,
    triu,
    unbind,
    unflatten,
    unsqueeze,
    vstack,
)
from .printing import set_printoptions
from .random import Generator, get_rng_state, initial_seed, manual_seed, set_rng_state
from .settings import (
    are_deterministic_algorithms_enabled,
    get_float32_matmul_precision,
    set_float32_matmul_precision,
    use_deterministic_algorithms,
)
from .tensor import Size, Tensor
from .typed_tensors import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)

__all__ = [
    "AnomalyError",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DeviceError",
    "DoubleTensor",
    "DtypeError",
    "FloatTensor",
    "Generator",
    "GraphError",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShapeError",
    "ShortTensor",
    "Size",
    "Tensor",
    "__version__",
    "abs",
    "accelerator",
    "adaptive_avg_pool1d",
    "add",
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arange",
    "are_deterministic_algorithms_enabled",
    "argmax",
    "argmin",
    "argsort",
    "as_tensor",
    "autograd",
    "avg_pool1d",
    "backends",
    "baddbmm",
    "bernoulli",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "bmm",
    "bool",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clip",
    "clone",
    "concat",
    "concatenate",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cos",
    "cosine_similarity",
    "count_nonzero",
    "cuda",
    "cumsum",
    "datasets",
    "device",
    "diag",
    "diagonal",
    "div",
    "dot",
    "double",
    "dropout",
    "dtype",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "equal",
    "erf",
    "exp",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "float",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "ge",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_num_threads",
    "get_rng_state",
    "gt",
    "half",
    "hstack",
    "index_select",
    "inf",
    "inference_mode",
    "initial_seed",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "is_tensor",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "kernels",
    "le",
    "linspace",
    "load",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "long",
    "lt",
    "manual_seed",
    "masked_fill",
    "masked_select",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "minimum",
    "mm",
    "movedim",
    "mul",
    "multinomial",
    "mv",
    "nan",
    "ne",
    "neg",
    "newaxis",
    "nn",
    "no_grad",
    "nonzero",
    "norm",
    "normal",
    "numel",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "outer",
    "pairwise_distance",
    "permute",
    "pi",
    "plot",
    "pow",
    "prod",
    "profiler",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "reciprocal",
    "relu",
    "remainder",
    "repeat_interleave",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "runs",
    "save",
    "scatter",
    "scatter_add",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "set_rng_state",
    "short",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "swapaxes",
    "t",
    "tan",
    "tanh",
    "tensor",
    "tile",
    "topk",
    "training",
    "transforms",
    "transpose",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "unbind",
    "unflatten",
    "unsqueeze",
    "use_deterministic_algorithms",
    "utils",
    "var",
    "var_mean",
    "vstack",
    "where",
    "xpu",
    "zeros",
    "zeros_like",
]

__version__ = "0.1.0"

concat = concatenate = cat
clip = clamp
inf = _np.inf
nan = _np.nan
pi = _np.pi
e = _np.e
newaxis = None


def is_tensor(obj: object) -> _bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, _Variable)


def numel(input: Any) -> _int:
    """The number of elements."""
    return input.numel()


_SUBMODULES = (
    "accelerator",
    "backends",
    "datasets",
    "nn",
    "optim",
    "plot",
    "profiler",
    "runs",
    "training",
    "transforms",
    "utils",
    "xpu",
)

if TYPE_CHECKING:
    from . import accelerator, backends, datasets, nn, optim, plot, profiler, runs, training, transforms, utils, xpu
    from .serialization import load, save
else:

    def __getattr__(name):
        """Sub-packages are imported when first asked for; what PyTorch has and minigrad does not fails by name."""
        if name in _SUBMODULES:
            return importlib.import_module(f".{name}", __name__)
        if name in ("save", "load"):
            return getattr(importlib.import_module(".serialization", __name__), name)
        raise AttributeError(f"minigrad has no {name!r}")
