"""Activations: functions applied to each element, and softmax. Any shape in, the same shape out."""

from __future__ import annotations

from typing import Any

from ...creation import full
from ...errors import ShapeError
from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals


class _Inplace(Module):
    """An activation that may write its output over its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return ", ".join(filter(None, [super().extra_repr(), "inplace=True" if self.inplace else ""]))


class ReLU(_Inplace):
    """y = max(x, 0). ``inplace=True`` writes y over x."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class ReLU6(_Inplace):
    """y = min(max(x, 0), 6)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class LeakyReLU(_Inplace):
    """y = x where x > 0, else negative_slope · x: some gradient passes everywhere."""

    _shown_in_repr = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(Module):
    """y = x where x > 0, else a · x with a trained: one ``a`` for all, or one per channel (axis 1).

    ``weight`` (num_parameters,) starts at ``init``. Source: He et al. 2015.
    """

    _shown_in_repr = ("num_parameters",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        naturals("PReLU", num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(full((num_parameters,), float(init), device=device, dtype=dtype))

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)


class ELU(_Inplace):
    """y = x where x > 0, else alpha (eˣ − 1). Source: Clevert et al. 2015."""

    _shown_in_repr = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.sigmoid(input)


class Tanh(Module):
    """y = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanh(input)


class SiLU(_Inplace):
    """y = x σ(x), also known as swish with β = 1. Source: Elfwing et al. 2017."""

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class Swish(Module):
    """y = x σ(βx): β = 1 is SiLU, β → ∞ is ReLU, β = 0 the line x/2. Source: Ramachandran et al. 2017.

    minigrad's own addition to PyTorch's list.

    Args:
        beta: β, or where it starts.
        trainable: whether β is a parameter, of shape ().
    """

    beta: Any  # a float, or with trainable=True a Parameter

    def __init__(self, beta: float = 1.0, trainable: bool = False, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.trainable = trainable
        self.beta = Parameter(full((), float(beta), device=device, dtype=dtype)) if trainable else float(beta)

    def forward(self, input: Tensor) -> Tensor:
        return F.swish(input, self.beta)

    def extra_repr(self) -> str:
        return f"beta={float(self.beta):g}" + (", trainable=True" if self.trainable else "")


class GELU(Module):
    """y = x Φ(x), Φ the normal distribution function; ``approximate="tanh"`` is the paper's approximation.

    Source: Hendrycks and Gimpel 2016.
    """

    _shown_in_repr = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)


class Softplus(Module):
    """y = log(1 + e^(βx)) / β, a smooth ReLU; where βx > ``threshold``, y = x."""

    _shown_in_repr = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)


class Hardtanh(_Inplace):
    """y = x, but no less than ``min_val`` and no more than ``max_val``."""

    _shown_in_repr = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: min_val must lie below max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class Hardsigmoid(_Inplace):
    """y = min(max(x + 3, 0), 6) / 6: a sigmoid of straight lines."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's


class Hardswish(_Inplace):
    """y = x · min(max(x + 3, 0), 6) / 6: a swish of lines and a parabola. Source: Howard et al. 2019."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""  # as PyTorch's


class _AlongAxis(Module):
    _shown_in_repr = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim


class Softmax(_AlongAxis):
    """yᵢ = e^(xᵢ) / Σⱼ e^(xⱼ) along axis ``dim``: positive, summing to 1."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class LogSoftmax(_AlongAxis):
    """yᵢ = xᵢ − log Σⱼ e^(xⱼ) along axis ``dim``: the logarithm of softmax, without its underflow."""

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


class CELU(_Inplace):
    """y = x where x > 0, else alpha (e^(x/alpha) − 1): ELU with slope 1 at 0. Source: Barron 2017."""

    _shown_in_repr = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)


class SELU(_Inplace):
    """y = s x where x > 0, else s α (eˣ − 1), s = 1.0507…, α = 1.6732…. Source: Klambauer et al. 2017."""

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class Mish(_Inplace):
    """y = x tanh(ln(1 + eˣ)). Source: Misra 2019."""

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class GLU(Module):
    """y = a σ(b) for the halves a, b of the input along ``dim``. Source: Dauphin et al. 2017."""

    _shown_in_repr = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x − tanh x."""

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class LogSigmoid(Module):
    """y = ln σ(x), without underflow."""

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class _Shrink(Module):
    _shown_in_repr = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd


class Softshrink(_Shrink):
    """y = x − lambd where x > lambd, x + lambd where x < −lambd, else 0."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class Hardshrink(_Shrink):
    """y = x where |x| > lambd, else 0."""

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Threshold(_Inplace):
    """y = x where x > threshold, else value."""

    _shown_in_repr = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class RReLU(_Inplace):
    """y = x where x > 0, else a x; in training a is drawn from lower … upper for each element, else their mean.

    Source: Xu et al. 2015.
    """

    _shown_in_repr = ("lower", "upper")

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Softmin(_AlongAxis):
    """yᵢ = e^(−xᵢ) / Σⱼ e^(−xⱼ) along axis ``dim``."""

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class Softmax2d(Module):
    """Softmax over the channels of images (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ShapeError(f"Softmax2d: expected (N, C, H, W) or (C, H, W), got shape {tuple(input.shape)}")
        return F.softmax(input, -3)
