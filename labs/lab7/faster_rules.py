"""Three of lab 7's rules once more, as fast as the library's own: the same numbers, and fewer of them moved about.

By the book, convolution copies every pixel into K² windows, and Lp-pool and Swish read and write a whole array for each
of a dozen operations. The arithmetic is cheap beside that. A rule becomes fast by going over the numbers once: by an op
or a kernel that does so already (Convolution, KernelConvolution), or by a loop of its own that Numba compiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

import minigrad
from minigrad.autograd import Function, once_differentiable
from minigrad.kernels.conv import choose as kernels
from minigrad.kernels.machine.compile import jit
from minigrad.kernels.pointwise.functions import sigmoid32
from minigrad.nn import functional as F
from minigrad.nn.grad import conv2d_input, conv2d_weight

Tensor = minigrad.Tensor


# -------------------------------------------------------------------------------------------------------- convolution


class Convolution(Function):
    """y = w ⋆ x + b with both gradients as convolutions: no windows are copied, and each step has a fast op.

        y[i] = Σ_u w[u] x[i + u − p]     (one axis and one channel are enough to see it)

    x[h] reaches the outputs i = h + p − u, so dx[h] = Σ_u w[u] dy[h + p − u]: dy convolved with the kernel read
    backwards. w[u] meets x[i + u − p] at every output, so dw[u] = Σ_i dy[i] x[i + u − p]: x convolved with dy.
    `minigrad.nn.grad` has both as functions, named as in PyTorch.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.padding = padding
        return F.conv2d(x, w, b, padding=padding)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, w = ctx.saved_tensors
        dx = conv2d_input(x.shape, w, dy, padding=ctx.padding) if ctx.needs_input_grad[0] else None
        return dx, conv2d_weight(x, w.shape, dy, padding=ctx.padding), dy.sum((0, 2, 3)), None


class KernelConvolution(Function):
    """The same by the kernels alone.

    On a small input each op of Convolution checks its arguments, makes a tensor and looks for a kernel in as much time
    as the arithmetic takes. The arguments are checked once, in the Module, and a kernel may as well be called from
    here; that of the weight has db on its way. The price: float32 on a CPU only, and no second derivatives.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.settings = (1, 1), (padding, padding), (1, 1), 1  # stride, padding, dilation, groups
        return minigrad.from_numpy(kernels.conv2d(*_arrays(x, w, b), *ctx.settings))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, w, upstream = _arrays(*ctx.saved_tensors, dy)
        needs = ctx.needs_input_grad.__getitem__
        grads = kernels.conv2d_gradients(needs, upstream, x, w, x.shape[1:], w.shape, *ctx.settings)
        return *[g if g is None else minigrad.from_numpy(g) for g in grads], None


def _arrays(*tensors: Tensor) -> list[Any]:
    """Tensors as NumPy arrays, row by row in memory."""
    return [np.ascontiguousarray(t.detach().numpy()) for t in tensors]


# --------------------------------------------------------------------------------------------------------- activation


@jit(parallel=True)
def swish(x: Any, y: Any) -> None:
    """y = x σ(x), both (n,)."""
    for i in prange(x.size):
        y[i] = x[i] * sigmoid32(x[i])


@jit(parallel=True)
def swish_gradient(x: Any, dy: Any, dx: Any) -> None:
    """dx = dy σ(x) (1 + x (1 − σ(x))), all (n,)."""
    for i in prange(x.size):
        sigma = sigmoid32(x[i])
        dx[i] = dy[i] * sigma * (np.float32(1) + x[i] * (np.float32(1) - sigma))


class ToOneLoops(Function):
    """custom_layers.ToOne in one loop for each way, and a division. The price: float32 on a CPU only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        (values,) = _arrays(x)
        y = np.empty_like(values)
        swish.launch(values.reshape(-1), y.reshape(-1))
        ctx.save_for_backward(x)
        return minigrad.from_numpy(_to_one(y))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        values, upstream = _arrays(*ctx.saved_tensors, dy)
        g = np.empty_like(values)
        swish_gradient.launch(values.reshape(-1), upstream.reshape(-1), g.reshape(-1))
        return minigrad.from_numpy(_to_one(g))


def _to_one(x: Any) -> Any:
    """x divided by its largest magnitude, in place; zeros stay zeros."""
    x /= max(x.max(), -x.min()) or 1
    return x


# --------------------------------------------------------------------------------------------------------------- pool


@jit(parallel=True)
def window_sums(x: Any, p: float, k: int, s: Any) -> None:
    """s = Σ |x|ᵖ of each window."""
    for n in prange(s.shape[0]):
        for c in range(s.shape[1]):
            for i in range(s.shape[2]):
                for j in range(s.shape[3]):
                    total = np.float32(0)
                    for u in range(k):
                        for v in range(k):
                            a = abs(x[n, c, i * k + u, j * k + v])
                            total += a * a * a if p == 3 else a**p
                    s[n, c, i, j] = total


@jit(parallel=True)
def window_gradients(x: Any, y: Any, dy: Any, p: float, k: int, dx: Any) -> None:
    """dx = dy y^(1 − p) · |x|ᵖ⁻¹ sign(x)."""
    for n in prange(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    norm, share = y[n, c, i, j], dy[n, c, i, j]
                    share = 0 * norm if norm == 0 else share / (norm * norm if p == 3 else norm ** (p - 1))
                    for u in range(k):
                        for v in range(k):
                            a = x[n, c, i * k + u, j * k + v]
                            slope = a * abs(a) if p == 3 else np.sign(a) * abs(a) ** (p - 1)
                            dx[n, c, i * k + u, j * k + v] = share * slope


class LpPoolLoops(Function):
    """LpPool as two loops over the windows, which Numba compiles: each pixel is read once, and no array is in between.

    By the book every operation reads and writes a whole array, and numbers travel a dozen times between processor and
    memory. The price: on NumPy's arrays alone, and the rule cannot be differentiated once more.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, k: int) -> Tensor:
        (pixels,) = _arrays(x)
        n, c, h, w = pixels.shape
        y = np.empty((n, c, h // k, w // k), pixels.dtype)
        window_sums.launch(pixels, p, k, y)
        with np.errstate(divide="ignore"):
            np.log(y, out=y)  # s^(1/p) = exp(log(s) / p), faster than a power; log 0 = −∞, and exp(−∞) = 0
        y *= 1 / p
        norm = minigrad.from_numpy(np.exp(y, out=y))
        ctx.save_for_backward(x, norm)
        ctx.p, ctx.k = p, k
        return norm

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        pixels, norms, upstream = _arrays(*ctx.saved_tensors, dy)
        dx = np.empty_like(pixels)
        window_gradients.launch(pixels, norms, upstream, ctx.p, ctx.k, dx)
        return minigrad.from_numpy(dx), None, None
