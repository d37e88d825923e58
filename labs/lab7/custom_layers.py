"""Lab 7's four layers, written the way anybody can add a layer to minigrad.

A layer is a `Function` and a small `nn.Module` around it. The Function has two static methods:

    forward(ctx, …)    computes the output from tensors; nothing in it is recorded; what the way back needs, ctx keeps;
    backward(ctx, dy)  gets ∂L/∂y, returns ∂L/∂(argument) for each argument of forward, None for what is no tensor.

The Module holds the parameters and calls `TheFunction.apply(…)`. How to find backward: name the output's dependence on
one input, sum over all outputs that it reaches, each times its dy. How to know that it is right: `gradcheck`.

What ctx saves is a constant for whoever differentiates backward itself, unless it is an argument or the output. A rule
that saves something in between would give wrong second derivatives without a word; `once_differentiable` refuses them.

Each rule stands here by the book. For all but attention faster_rules.py has another one that gives the same numbers in
a fraction of the time; a layer takes that one where it can, unless it is told which.
"""

from __future__ import annotations

from typing import Any

import minigrad
from minigrad import nn
from minigrad.autograd import Function, once_differentiable
from minigrad.errors import ShapeError
from minigrad.nn import functional as F
from minigrad.nn.grad import conv2d_input, conv2d_weight

from .faster_rules import Convolution, KernelConvolution, LpPoolLoops, ToOneLoops

Tensor = minigrad.Tensor


def float32_here(*tensors: Tensor) -> bool:
    """Whether the library's kernels take them: numbers of float32 in this computer's own memory."""
    return all(t.device.type == "cpu" and t.dtype == minigrad.float32 for t in tensors)


# -------------------------------------------------------------------------------------------------------- convolution


class MatrixConvolution(Function):
    """y = w ⋆ x + b as one matrix product: x (N, C, H, W), w (O, C, K, K), b (O) → (N, O, H + 2p − K + 1, …).

    Write each window of x as a column. Then a pixel of the output is a row of weights times a column, and all of them

        Y = W X + b        W (O, C·K·K), X (N, C·K·K, windows), Y (N, O, windows).

    Backward, for a product Y = W X + b it is known that

        dW = Σ_n dYₙ Xₙᵀ,   dX = Wᵀ dY,   db = Σ dY,

    and dx gathers dX: a pixel lies in up to K² windows, and what comes back for it from each of them adds up. That is
    `fold`, the transpose of `unfold`. The price: X is K² times as large as x, and has to be written and read.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, padding: int) -> Tensor:
        k = w.shape[-1]
        height, width = (size + 2 * padding - k + 1 for size in x.shape[2:])
        columns = F.unfold(x, k, padding=padding)  # (N, C, H, W) → (N, C·K·K, windows)
        ctx.save_for_backward(columns, w)
        ctx.size, ctx.padding = x.shape[2:], padding
        y = w.flatten(1) @ columns + b.unsqueeze(1)  # (O, C·K·K) @ (N, C·K·K, windows) → (N, O, windows)
        return y.reshape(len(x), len(w), height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        columns, w = ctx.saved_tensors
        dy = dy.flatten(2)  # (N, O, OH, OW) → (N, O, windows)
        dw = (dy @ columns.transpose(1, 2)).sum(0).reshape(w.shape)
        dx = None
        if ctx.needs_input_grad[0]:  # not for images, which nobody wants to change
            dx = F.fold(w.flatten(1).T @ dy, ctx.size, w.shape[-1], padding=ctx.padding)
        return dx, dw, dy.sum((0, 2)), None


class CustomConv2d(nn.Module):
    """A convolution, (N, in_channels, H, W) → (N, out_channels, H + 2p − K + 1, …); 224 parameters for 3, 8, 3.

    Args: rule: MatrixConvolution, Convolution or KernelConvolution; by default the last where it can, else Convolution.
    Raises ShapeError for an input of other axes or channels, or one too small.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        padding: int = 0,
        rule: type[Function] | None = None,
    ) -> None:
        super().__init__()
        self.padding, self.rule = padding, rule
        bound = (in_channels * kernel_size**2) ** -0.5  # as PyTorch's: uniform in ±1/√(inputs of an output)
        self.weight = nn.Parameter(minigrad.empty(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(minigrad.empty(out_channels))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Any:
        channels, k = self.weight.shape[1:3]
        if x.ndim != 4 or x.shape[1] != channels or min(x.shape[2:]) + 2 * self.padding < k:
            raise ShapeError(
                f"CustomConv2d: input has shape {tuple(x.shape)}, expected (N, {channels}, H, W) with H and W of at "
                f"least {k - 2 * self.padding}"
            )
        rule = self.rule or (KernelConvolution if float32_here(x, self.weight) else Convolution)
        return rule.apply(x, self.weight, self.bias, self.padding)


# ---------------------------------------------------------------------------------------------------------- attention


class SpatialAttention(nn.Module):
    """Each place of an image weighted by how much there is to see: (N, C, H, W) → the same shape; 99 parameters.

        y = x ⊙ a,   a = σ(k ∗ [mean_c x; max_c x] + b)        a (N, 1, H, W)

    Made of ops that have a rule each, a layer needs none of its own: the engine puts them together. Most are like that.
    """

    def __init__(self, kernel_size: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Any:
        mean, strongest = x.mean(1, keepdim=True), x.max(1, keepdim=True).values  # (N, 1, H, W)
        attention = self.conv(minigrad.cat([mean, strongest], 1)).sigmoid()  # (N, 2, H, W) → (N, 1, H, W)
        return x * attention


class Attention(Function):
    """The same as one rule, to see what the engine does.

    x enters three times: as itself, in the mean and in the maximum. With m = [mean_c x; max_c x] and z = k ∗ m + b,

        da = Σ_c dy ⊙ x,   dz = da ⊙ a (1 − a),   dk, db, dm: the convolution's rule for dz,

    and dm comes back to x twice: the mean's part goes to all channels, 1/C each, the maximum's to the channel that has
    it. The three add up: dx = dy ⊙ a + dm₀ / C + [c has the maximum] dm₁.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, k: Tensor, b: Tensor) -> Tensor:
        strongest, channel = x.max(1, keepdim=True)
        m = minigrad.cat([x.mean(1, keepdim=True), strongest], 1)
        a = F.conv2d(m, k, b, padding=k.shape[-1] // 2).sigmoid()
        ctx.save_for_backward(x, k, m, a, channel)
        return x * a

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, k, m, a, channel = ctx.saved_tensors
        padding, channels = k.shape[-1] // 2, x.shape[1]
        dz = (dy * x).sum(1, keepdim=True) * a * (1 - a)
        dm = conv2d_input(m.shape, k, dz, padding=padding)  # (N, 2, H, W)
        dk = conv2d_weight(m, k.shape, dz, padding=padding)
        has_it = minigrad.arange(channels, device=x.device).reshape(-1, 1, 1) == channel  # (N, C, H, W)
        dx = dy * a + dm[:, :1] / channels + has_it.to(dm.dtype) * dm[:, 1:]
        return dx, dk, dz.sum((0, 2, 3))


class SpatialAttentionByHand(SpatialAttention):
    """SpatialAttention with Attention for its rule."""

    def forward(self, x: Tensor) -> Any:
        return Attention.apply(x, self.conv.weight, self.conv.bias)


# --------------------------------------------------------------------------------------------------------- activation


class ToOne(Function):
    """y = s / max|s|, s = x σ(x).   Backward: g / max|g|, g = dy s′(x): **not** the gradient, on purpose.

    s′(x) = σ(x) (1 + x (1 − σ(x))). For the gradient of y, let M = max|s|, taken at element j, where s has the sign ε.
    M depends on xⱼ, so with yᵢ = sᵢ / M

        dxₖ = s′(xₖ) (dyₖ − [j = k] ε Σᵢ dyᵢ yᵢ) / M.

    The rule here forgets that M moves, and has 1 / max|g| where 1 / M should be. What it hands back points roughly the
    right way but has the wrong length: it is as large for a loss as for twice that loss. gradcheck refuses it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        sigma = x.sigmoid()
        ctx.save_for_backward(x, sigma)
        return to_one(x * sigma)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        x, sigma = ctx.saved_tensors
        return to_one(dy * sigma * (1 + x * (1 - sigma)))


def to_one(x: Tensor) -> Tensor:
    """x divided by its largest magnitude; zeros stay zeros."""
    largest = x.abs().max()
    return x / (largest + (largest == 0))


class NormalizedSwish(nn.Module):
    """Swish whose outputs, and whose gradients on the way back, are divided by their maximum; any shape.

    Args: rule: ToOne or ToOneLoops; by default the second where it can.
    """

    def __init__(self, rule: type[Function] | None = None) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, x: Tensor) -> Any:
        return (self.rule or (ToOneLoops if float32_here(x) and x.numel() else ToOne)).apply(x)


# --------------------------------------------------------------------------------------------------------------- pool


class LpPool(Function):
    """y = (Σ |x|ᵖ)^(1/p) over windows of k × k: (N, C, H, W) → (N, C, H/k, W/k).

    With s = Σ |x|ᵖ: ∂y/∂s = s^(1/p − 1) / p = y^(1 − p) / p, and ∂s/∂x = p |x|ᵖ⁻¹ sign(x). So

        dx = dy y^(1 − p) · |x|ᵖ⁻¹ sign(x),

    with dy and y of the window that holds x. In a window of zeros the slope is not defined, and 0 is taken.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, k: int) -> Tensor:
        n, c, h, w = x.shape
        windows = x.reshape(n, c, h // k, k, w // k, k)  # (N, C, H, W) → (N, C, H/k, k, W/k, k)
        y = (windows.abs() ** p).sum((3, 5)) ** (1 / p)
        ctx.save_for_backward(x, y)
        ctx.p, ctx.k = p, k
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        x, y = ctx.saved_tensors
        p, k = ctx.p, ctx.k
        share = dy * (y + (y == 0)) ** (1 - p)  # in windows of zeros anything finite: sign(0) = 0
        share = share.repeat_interleave(k, 2).repeat_interleave(k, 3)  # to each pixel of the window
        return share * x.abs() ** (p - 1) * x.sign(), None, None


class LPPooling2d(nn.Module):
    """The p-norm of windows that do not overlap, (N, C, H, W) → (N, C, H/k, W/k).

    Args: p: at least 1. kernel_size: k. rule: LpPool or LpPoolLoops; by default loops, and on a GPU the book.
    Raises ValueError for p below 1, and ShapeError for images that windows do not cover without a rest.
    """

    def __init__(self, p: float = 3.0, kernel_size: int = 2, rule: type[Function] | None = None) -> None:
        super().__init__()
        if p < 1:
            raise ValueError(f"LPPooling2d: p is {p}, expected at least 1")
        self.p, self.kernel_size, self.rule = float(p), kernel_size, rule

    def forward(self, x: Tensor) -> Any:
        k = self.kernel_size
        if x.ndim != 4 or x.shape[2] % k or x.shape[3] % k:
            raise ShapeError(
                f"LPPooling2d: input has shape {tuple(x.shape)}, expected (N, C, H, W) with H and W divisible by {k}"
            )
        rule = self.rule or (LpPoolLoops if x.device.type == "cpu" else LpPool)
        return rule.apply(x, self.p, k)
