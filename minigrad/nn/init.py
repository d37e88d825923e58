"""Starting values for parameters, under PyTorch's names (``torch.nn.init``). Each fills a tensor and returns
it.

Why the scale of the starting weights matters
---------------------------------------------
A unit computes y = Σᵢ wᵢ xᵢ over its ``fan_in`` inputs. With independent wᵢ of mean 0,

    E[y²] = fan_in · Var(w) · E[x²].

Each layer multiplies the mean square of the signal by fan_in · Var(w). Ten layers multiply it by that factor
to the tenth power: the signal explodes or dies out unless the factor is 1. Hence **Var(w) = 1 / fan_in**.

Backwards, the gradient of one input is a sum over the ``fan_out`` units that use it, so the same argument
asks for Var(w) = 1 / fan_out. Both cannot hold unless the fans are equal: Xavier takes the mean of the two,
Kaiming lets the user pick one (a network whose layers widen and narrow again keeps the other under control by
itself).

An activation changes E[x²] too. ReLU sets half of a symmetric signal to zero, and with it half of the mean
square: the weights must make up for a factor ½, so Var(w) = 2 / fan_in. Taken as a factor on the standard
deviation, this is the *gain* √2 of ReLU (:func:`calculate_gain`).

A uniform distribution on [−b, b] has variance b² / 3; so a wanted standard deviation s means b = √3 · s.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import drawing
from ..autograd import no_grad
from ..devices import CPU, move
from ..errors import DistributionError
from ..random import Generator, draws
from ..tensor import Tensor

_LINEAR = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the weights' standard deviation that makes up for what an activation does to the signal.

    ====================  ===============  ==============================================================
    linear, conv          1                nothing to make up for
    sigmoid               1                PyTorch's convention
    tanh                  5/3              measured: it undoes the squashing on average
    relu                  √2               half of the mean square is lost
    leaky_relu (slope a)  √(2 / (1 + a²))  (1 + a²) / 2 is left: the negative half keeps a² of its own
    selu                  3/4              PyTorch's convention
    ====================  ===============  ==============================================================

    Args:
        nonlinearity: one of the names above, as in ``minigrad.nn.functional``.
        param: the negative slope of leaky_relu (default 0.01).
    """
    if nonlinearity in _LINEAR or nonlinearity == "sigmoid":
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: the negative slope must be a number, got {slope!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    names = ", ".join(sorted(_LINEAR | {"sigmoid", "tanh", "relu", "leaky_relu", "selu"}))
    raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; known are {names}")


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the uniform distribution on [a, b)."""
    _floating("uniform_", tensor)
    return tensor.uniform_(a, b, generator=generator)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Draw from the normal distribution N(mean, std²)."""
    _floating("normal_", tensor)
    return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Draw from N(mean, std²), but only values in [a, b].

    With Φ the distribution function of N(0, 1): Φ⁻¹(u) is normal where u is uniform on (0, 1), so u is drawn
    between Φ(low) and Φ(high) alone.
    """
    from scipy.special import ndtr, ndtri

    array = _floating("trunc_normal_", tensor)
    if not (a < b and std > 0):
        raise DistributionError(f"trunc_normal_: expected a < b and std > 0, got a={a}, b={b}, std={std}")
    low, high = (a - mean) / std, (b - mean) / std
    # Φ is exact near 0 and rounded near 1: the right tail is drawn as the left one, mirrored.
    mirrored = low > 0
    if mirrored:
        low, high = -high, -low
    u = move(draws(generator, tensor.device).random(array.shape), CPU)
    z = ndtri(ndtr(low) + (ndtr(high) - ndtr(low)) * u)
    kind = array.dtype
    values = drawing.rounded(
        mean + std * (-z if mirrored else z), kind, drawing.least(kind, a), drawing.largest(kind, b, below=False)
    )
    return _fill(tensor, values)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with ``val``."""
    return tensor.fill_(val)


@no_grad()
def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return tensor.fill_(1)


@no_grad()
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity: a linear layer that starts by passing its input on."""
    if tensor._array.ndim != 2:
        raise ValueError(f"eye_: expected a matrix (2 axes), got shape {tensor._array.shape}")
    return _fill(tensor, np.eye(*tensor._array.shape, dtype=tensor._array.dtype))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on ±gain · √(6 / (fan_in + fan_out)), so that Var(w) = gain² · 2 / (fan_in + fan_out).

    The variance is the harmonic mean of what forward (1 / fan_in) and backward (1 / fan_out) ask for; the
    root of 6 is √3 for the uniform distribution times √2. Made for layers whose activation is near the
    identity, such as tanh. Source: Glorot and Bengio 2010.
    """
    bound = math.sqrt(3.0) * _xavier_std("xavier_uniform_", tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, gain² · 2 / (fan_in + fan_out)). See :func:`xavier_uniform_`."""
    return normal_(tensor, 0.0, _xavier_std("xavier_normal_", tensor, gain), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform on ±√3 · gain / √fan, so that Var(w) = gain² / fan: the signal keeps its size.

    With ReLU, gain = √2 and the bound is √(6 / fan). The layers of PyTorch and minigrad start with a = √5,
    where gain = √(2/6) and the bound is 1/√fan_in: a historical default, smaller than the derivation above
    asks for. Source: He et al. 2015.

    Args:
        tensor: a weight of shape (out, in, …).
        a: negative slope of the leaky ReLU that follows; used with ``nonlinearity="leaky_relu"`` alone.
        mode: ``"fan_in"`` keeps the size of the signal going forward, ``"fan_out"`` that of the gradient.
        nonlinearity: see :func:`calculate_gain`.
        generator: where to draw from.
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, gain² / fan). See :func:`kaiming_uniform_`."""
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A random matrix whose rows (or columns, whichever are fewer) are orthonormal, times ``gain``.

    It keeps lengths, not only on average: ‖Wx‖ = ‖x‖ for a square matrix, so a deep chain neither explodes
    nor dies. Axes after the first count as columns. The Q of a QR decomposition of a normal matrix, each
    column times the sign of R's diagonal: without that the distribution would depend on how QR picks signs.
    Source: Saxe et al. 2013.
    """
    array = _floating("orthogonal_", tensor)
    if array.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 axes, got shape {array.shape}")
    if not array.size:
        return tensor
    rows, columns = array.shape[0], array.size // array.shape[0]
    shape = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(draws(generator, tensor.device).standard_normal(shape))
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(array.shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a weight (out, in, …).

    That is, how many inputs one output sums over, and how many outputs one input goes to. The axes after the
    first two are a convolution's kernel, each element of which counts.
    """
    shape = tensor._array.shape
    if len(shape) < 2:
        raise ValueError(f"init: fan_in and fan_out need a weight of at least 2 axes (out, in, …), got shape {shape}")
    size = math.prod(shape[2:])
    return shape[1] * size, shape[0] * size


def __getattr__(name: str) -> Callable[..., Tensor]:
    """The names before PyTorch 0.4, without the underscore, which PyTorch still takes: ``xavier_uniform``."""
    function: Callable[..., Tensor] | None = globals().get(f"{name}_")
    if name.startswith("_") or function is None:
        raise AttributeError(f"minigrad.nn.init has no {name!r}")
    warnings.warn(f"init.{name} is an old name; write init.{name}_", FutureWarning, stacklevel=2)
    return function


_calculate_fan_in_and_fan_out = fans  # the name under which PyTorch scripts look for it


def _xavier_std(name: str, tensor: Tensor, gain: float) -> float:
    _floating(name, tensor)
    total = sum(fans(tensor))
    return gain * math.sqrt(2.0 / total) if total else 0.0


def _kaiming_std(name: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _floating(name, tensor)
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{name}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def _floating(name: str, tensor: Tensor) -> Any:
    """The array of a floating tensor, or an error."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(tensor).__name__}")
    if tensor._array.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating tensor, got {tensor.dtype}")
    return tensor._array


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor._array[...] = move(values, tensor.device)
    tensor._bump()
    return tensor
