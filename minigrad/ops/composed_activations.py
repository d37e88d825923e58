"""Activations made of other ops, whose rules are therefore the rules of their parts, one after the other."""

from __future__ import annotations

import math
from typing import Any

from .. import drawing
from ..autograd.variable import wrap
from ..devices import of_array
from ..random import draws
from .activation import _in_place, elu, leaky_relu, softmax, softplus
from .common import floating, tensor_of
from .elementwise import tanh, where

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else α (e^(x/α) − 1): ELU whose slope is 1 at 0 for every α.   dy/dx = 1, or e^(x/α).

    Barron 2017.
    """
    if not alpha:
        raise ValueError("celu: alpha must not be 0")
    x = floating(input, "celu")
    return _in_place("celu_", input, where(x > 0, x, alpha * elu(x / alpha)), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """s · x where x > 0, else s α (eˣ − 1), with s = 1.0507… and α = 1.6732….

    The two numbers are those with which outputs of mean 0 and variance 1 have these again. Klambauer et al. 2017.
    """
    return _in_place("selu_", input, SELU_SCALE * elu(floating(input, "selu"), SELU_ALPHA), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)).   dy/dx = tanh u + x (1 − tanh² u) σ(x), u = softplus(x).   Misra 2019."""
    x = floating(input, "mish")
    return _in_place("mish_", input, x * tanh(softplus(x)), inplace)


def softsign(input: Any) -> Any:
    """x / (1 + |x|).   dy/dx = 1 / (1 + |x|)²."""
    x = floating(input, "softsign")
    return x / (1 + abs(x))


def tanhshrink(input: Any) -> Any:
    """x − tanh x.   dy/dx = tanh² x."""
    x = floating(input, "tanhshrink")
    return x - tanh(x)


def softmin(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """softmax(−x) along ``dim``: the smallest gets the most."""
    return softmax(-tensor_of(input, "softmin"), dim, dtype)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value.   dx = dy where x > threshold, else 0."""
    x = tensor_of(input, "threshold")
    return _in_place("threshold_", input, where(~(x <= threshold), x, value), inplace)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > λ, else 0.   dx = dy where |x| > λ, else 0."""
    x = floating(input, "hardshrink")
    return where((x >= -lambd) & (x <= lambd), 0.0, x)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x − λ where x > λ, x + λ where x < −λ, else 0.   dx = dy where |x| > λ, else 0.

    What is left of x when its distance to 0 is paid for with λ: the y that minimises ½ (y − x)² + λ |y|.
    """
    if not lambd >= 0:
        raise ValueError(f"softshrink: lambd must not be negative, got {lambd}")
    x = floating(input, "softshrink")
    return where((x >= -lambd) & (x <= lambd), 0.0, where(x > 0, x - lambd, x + lambd))


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """x where x > 0, else a x; in training a is drawn from lower … upper for each element, else it is their mean.

    dx = dy where x > 0, else a dy.   Xu et al. 2015.
    """
    if not lower <= upper or math.isinf(lower) or math.isinf(upper):
        raise ValueError(f"rrelu: lower and upper must be numbers in order, got {lower} and {upper}")
    x = floating(input, "rrelu")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    array = x._array
    draw = draws(None, of_array(array))
    slopes = wrap(drawing.uniform("rrelu", draw, array.shape, array.dtype, lower, upper))
    return _in_place("rrelu_", input, where(x > 0, x, slopes * x), inplace)
