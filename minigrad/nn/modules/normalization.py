"""Normalization layers. What they compute, and how their backward comes about, stands in ``ops/normalization.py``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ... import dtypes
from ...creation import empty, ones, tensor, zeros
from ...errors import ShapeError
from ...ops.fused import batch_norm_relu
from ...ops.normalization_checks import channel_groups, trailing_shape
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals


class _Affine(Module):
    """The trained part of these layers: ``weight``, which starts at 1, and ``bias``, which starts at 0."""

    weight: Parameter | None
    bias: Parameter | None

    def _add_affine(self, shape: tuple[int, ...], weight: bool, bias: bool, device: Any, dtype: Any) -> None:
        for name, wanted in (("weight", weight), ("bias", bias)):
            self.register_parameter(name, Parameter(empty(*shape, device=device, dtype=dtype)) if wanted else None)

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _RunningStatistics(_Affine):
    """What batch norm and instance norm share: weight and bias per channel, and statistics of what has been seen."""

    _version = 2  # from 2 on a state counts the batches

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        naturals(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self._add_affine((num_features,), affine, affine and bias, device, dtype)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if tracked else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if tracked else None)
        count = tensor(0, dtype=dtypes.int64, device=device) if tracked else None
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Mapping[str, Any], *rest: Any
    ) -> None:
        if (local_metadata.get("version") or 1) < 2 and self.num_batches_tracked is not None:
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def reset_running_stats(self) -> None:
        """Forget what has been seen: mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forget what has been seen, and set weight to 1 and bias to 0."""
        self.reset_running_stats()
        super().reset_parameters()

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningStatistics):
    axes: ClassVar[tuple[int, ...]]  # how many an input may have
    shapes: ClassVar[str]

    def forward(self, input: Tensor) -> Tensor:
        return self._normalize(F.batch_norm, input)

    def with_activation(self, input: Tensor, name: str) -> Tensor:
        """relu(self(input)) as one op, for Sequential; ``name`` is "relu".

        On a GPU two kernels serve it better than none.
        """
        if getattr(input, "is_cuda", False):
            return F.relu(self.forward(input))
        return self._normalize(batch_norm_relu, input)

    def _normalize(self, batch_norm: Any, input: Tensor) -> Tensor:
        if input.ndim not in self.axes:
            raise ShapeError(f"{type(self).__name__}: expected an input {self.shapes}, got shape {tuple(input.shape)}")
        mean, var = self.running_mean, self.running_var
        if not self.training:
            return batch_norm(input, mean, var, self.weight, self.bias, mean is None, 0.0, self.eps)
        if not self.track_running_stats:
            return batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        momentum, count = self.momentum, self.num_batches_tracked
        if momentum is None:  # every batch counts the same: the n-th moves the average by a share of 1/n
            momentum = 0.0 if count is None else 1.0 / (count.item() + 1)
        y = batch_norm(input, mean, var, self.weight, self.bias, True, momentum, self.eps)
        if count is not None:
            count._array[()] += 1
            count._version[0] += 1
        return y


class BatchNorm1d(_BatchNorm):
    """y = γ (x − μ)/√(σ² + ε) + β, with one mean μ and one variance σ² per channel C.

    Shapes: x (N, C) or (N, C, L), y the same; weight (γ) and bias (β) (C).

    While training, μ and σ² are the batch's own, over all axes but C, and the running statistics follow them:
    running ← (1 − momentum) · running + momentum · batch's (the variance with n − 1 instead of n). After ``eval()``
    the running statistics are used instead, so that a sample's result does not depend on the rest of the batch.

    Args:
        num_features: C.
        eps: ε.
        momentum: the share by which a batch moves the running statistics; None for the plain average of all batches.
        affine: whether there are γ and β. ``bias=False`` leaves out β alone.
        track_running_stats: without, the batch's own statistics serve in evaluation as well.

    Raises:
        ShapeError: (when called) another number of axes or of channels.
        ValueError: (when called, in training) a single value per channel.

    Source: Ioffe and Szegedy 2015; torch.nn.BatchNorm1d.
    """

    axes = (2, 3)
    shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """:class:`BatchNorm1d` for images: x (N, C, H, W), with one mean and one variance per channel, over N, H and W."""

    axes = (4,)
    shapes = "(N, C, H, W)"


class _InstanceNorm(_RunningStatistics):
    axes: ClassVar[int]
    shapes: ClassVar[str]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.axes - 1, self.axes):
            raise ShapeError(f"{type(self).__name__}: expected an input {self.shapes}, got shape {tuple(input.shape)}")
        if input.ndim == self.axes - 1:  # one sample
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.shape[1] != self.num_features and self.weight is None and self.running_mean is None:
            warnings.warn(
                f"{type(self).__name__}: the input has {input.shape[1]} channels, num_features is {self.num_features}; "
                "without weights and running statistics that makes no difference",
                stacklevel=3,
            )
        own = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        return F.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, momentum, self.eps
        )


class InstanceNorm1d(_InstanceNorm):
    """y = γ (x − μ)/√(σ² + ε) + β, with a mean μ and a variance σ² for each channel of each sample.

    Shapes: x (N, C, L) or (C, L), y the same; weight (γ) and bias (β), if ``affine``, (C).

    With ``track_running_stats``, running statistics are kept in training (as :class:`BatchNorm1d` does, by the samples'
    mean) and used in evaluation; without, evaluation is like training.

    Raises:
        ShapeError: (when called) another number of axes or, where it matters, of channels.
        ValueError: (when called) L = 1, where every result would be β.

    Source: Ulyanov et al. 2016; torch.nn.InstanceNorm1d.
    """

    axes = 3
    shapes = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """:class:`InstanceNorm1d` for images: x (N, C, H, W) or (C, H, W), over H and W."""

    axes = 4
    shapes = "(N, C, H, W) or (C, H, W)"


class LayerNorm(_Affine):
    """y = γ (x − μ)/√(σ² + ε) + β, with a mean μ and a variance σ² over the last axes, whose sizes are
    ``normalized_shape``.

    Shapes: x (…, *normalized_shape), y the same; weight (γ) and bias (β) have ``normalized_shape``.

    Args:
        normalized_shape: an integer stands for the last axis alone.
        elementwise_affine: whether there are γ and β. ``bias=False`` leaves out β alone.

    Raises:
        ShapeError: (when called) an input whose last axes have other sizes.

    Source: Ba et al. 2016; torch.nn.LayerNorm.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = trailing_shape("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_affine(self.normalized_shape, elementwise_affine, elementwise_affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Affine):
    """y = γ x/√(mean(x²) + ε), the mean over the last axes, whose sizes are ``normalized_shape``.

    Shapes: x (…, *normalized_shape), y the same; weight (γ) has ``normalized_shape``. ``eps`` None: the smallest ε with
    1 + ε ≠ 1 in x's dtype. Source: Zhang and Sennrich 2019; torch.nn.RMSNorm.

    Raises:
        ShapeError: (when called) an input whose last axes have other sizes.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = trailing_shape("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._add_affine(self.normalized_shape, elementwise_affine, False, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """y = γ (x − μ)/√(σ² + ε) + β, with a mean μ and a variance σ² for each sample and each of ``num_groups`` groups of
    neighbouring channels.

    Shapes: x (N, C, …), y the same; weight (γ) and bias (β) (C). Source: Wu and He 2018; torch.nn.GroupNorm.

    Raises:
        ValueError: ``num_groups`` does not divide ``num_channels``.
        ShapeError: (when called) an input with another number of channels.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        naturals("GroupNorm", num_channels=num_channels)
        channel_groups("GroupNorm", num_channels, num_groups)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._add_affine((num_channels,), affine, affine and bias, device, dtype)
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """y = x / (k + alpha · mean of x² over ``size`` neighbouring channels)^beta.

    Shapes: x (N, C, …), y the same. Source: Krizhevsky et al. 2012; torch.nn.LocalResponseNorm.

    Raises:
        ShapeError: (when called) an input with less than 3 axes.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
