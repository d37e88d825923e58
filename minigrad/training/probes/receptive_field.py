"""Measures which pixels of the input one output depends on, and how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import kernels
from ...autograd import enable_grad, grad
from ...creation import from_numpy, zeros_like
from ...errors import ShapeError
from ...nn import Module
from ...nn.inspection.preserved import preserved
from ...tensor import Tensor

_TAIL = 0.0455  # 1 − 0.9545: what lies beyond two standard deviations of a normal distribution


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The pixels that the central output of the last feature maps depends on.

    Attributes:
        gradients: (H, W), for each pixel of the input the mean over images and channels of |∂y/∂x|.
    """

    gradients: np.ndarray[Any, Any]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the smallest rectangle that holds every pixel with a gradient."""
        rows, columns = [np.flatnonzero(self.gradients.any(axis=axis)) for axis in (1, 0)]
        if not len(rows):
            return 0, 0, 0, 0
        top, left = int(rows[0]), int(columns[0])
        return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1

    @property
    def effective_size(self) -> float:
        """The side of a square of as many pixels as have more than 4.55 % of the greatest gradient.

        Source: Luo et al., Understanding the effective receptive field in deep convolutional neural networks, 2016.
        """
        return math.sqrt(int((self.gradients > _TAIL * self.gradients.max()).sum()))


class ReceptiveFieldProbe:
    """Measures the receptive field of a network's last feature maps by gradients.

        seen = ReceptiveFieldProbe(model.features).measure(images)
        print(seen.box, seen.effective_size)

    The upstream gradient is a random positive number in each channel of the central output, and 0 elsewhere; each pixel
    on which that output depends gets a gradient. A ReLU passes no gradient where its input was negative, so a single
    image would leave gaps; the mean over many images has none. Absolute values are averaged, so that gradients of
    opposite sign do not cancel. Toward the edges of the field fewer paths lead from a pixel to the output, so its
    gradients decrease, about as a normal distribution does: the *effective* field is smaller.

    The model runs in eval mode, since the statistics of a batch would make each output depend on every pixel, and is
    left as it was.

    Args:
        features: the part of a network that ends in feature maps (N, C, H, W), before global pooling.
    """

    def __init__(self, features: Module) -> None:
        if not isinstance(features, Module):
            raise TypeError(f"ReceptiveFieldProbe: features is a {type(features).__name__}, expected an nn.Module")
        self.features = features

    def measure(self, images: Tensor) -> ReceptiveField:
        """The field for these images (N, C, H, W), floats; a few tens are enough to leave no gaps.

        Raises ShapeError if images or feature maps have another shape.
        """
        if not isinstance(images, Tensor) or images.ndim != 4 or not images.numel():
            raise ShapeError(
                f"ReceptiveFieldProbe.measure: images is {_what(images)}, expected a tensor (N, C, H, W), not empty"
            )
        # Winograd convolutions would leave rounding errors where a gradient is 0.
        with preserved(self.features), enable_grad(), kernels.disabled():
            self.features.eval()
            x = images.detach().requires_grad_()
            y = self.features(x)
            if not isinstance(y, Tensor) or y.ndim != 4:
                raise ShapeError(
                    f"ReceptiveFieldProbe.measure: the output is {_what(y)}, expected feature maps (N, C, H, W); give "
                    "the part of the network before its pooling to one place, or its flattening"
                )
            sent = np.random.default_rng(0).uniform(0.5, 1.5, y.shape[:2])
            upstream = zeros_like(y)
            upstream[:, :, y.shape[2] // 2, y.shape[3] // 2] = from_numpy(sent).to(y.device, y.dtype)
            (dx,) = grad(y, x, upstream, materialize_grads=True)
        return ReceptiveField(dx.abs().mean((0, 1)).numpy(force=True))


def _what(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
