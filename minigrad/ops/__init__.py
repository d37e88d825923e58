"""The textbook: a file a family, each op's equation, forward and hand-derived backward side by side."""

from ..autograd.variable import Variable
from . import (
    activation,
    arithmetic,
    comparison,
    conv,
    custom,
    dropout,
    elementwise,
    fused,
    indexing,
    loss,
    matmul,
    namespace,
    normalization,
    padding,
    pooling,
    pooling_windows,
    reduction,
    rescaling,
    shape,
    unfold,
    unpooling,
    upsampling,
)

Variable.namespace = namespace

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "conv",
    "custom",
    "dropout",
    "elementwise",
    "fused",
    "indexing",
    "loss",
    "matmul",
    "namespace",
    "normalization",
    "padding",
    "pooling",
    "pooling_windows",
    "reduction",
    "rescaling",
    "shape",
    "unfold",
    "unpooling",
    "upsampling",
]
