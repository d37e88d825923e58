"""Ops that PyTorch has not: those that the students of lab 7 made themselves."""

from __future__ import annotations

from typing import Any

from ..autograd.op import Op, keep_input
from ..autograd.variable import namespace
from .activation import SiLU
from .common import require_floating


def to_one(g: Any) -> Any:
    """g divided by its largest magnitude, so that all of it lies in [−1, 1]; zeros, and nothing, stay as they are."""
    if 0 in g.shape:
        return g
    largest = namespace(g).abs(g).max()
    return g / (largest + (largest == 0))


class NormalizedSwish(Op, kernel="pointwise.activation.normalized_swish"):
    """y = s / max|s| with s = x σ(x), over the whole tensor.   Backward: g / max|g| with g = dy s′(x), which is **not**
    the gradient.

    The gradient would be this. Let M = max|s| be taken at element j, where s has the sign ε. Then yᵢ = sᵢ / M, and

        ∂yᵢ/∂xₖ = s′(xₖ) ([i = k] − [j = k] ε yᵢ) / M,        dxₖ = s′(xₖ) (dyₖ − [j = k] ε Σᵢ dyᵢ yᵢ) / M.

    The rule here leaves out how M moves with xⱼ, and replaces the factor 1/M by 1 / max|g|. So the step that follows
    has the same size whatever the loss is: doubling the loss changes nothing. Every element keeps the gradient's sign,
    except j perhaps, but together they are no derivative of any function, and :func:`minigrad.autograd.gradcheck`
    refuses them. ``F.silu(x) / F.silu(x).abs().max()`` has the true gradient.
    """

    @staticmethod
    def compute(x: Any) -> Any:
        return to_one(SiLU.compute(x))

    keep = staticmethod(keep_input)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return to_one(SiLU.gradient(dy, *ctx.saved))


def normalized_swish(input: Any) -> Any:
    """x σ(x) divided by its largest magnitude over the whole tensor; the gradient is divided by its own, likewise.

    Any shape; the output and what flows back lie in [−1, 1]. All zeros stay zeros. What flows back is not the
    gradient: the op's docstring (:class:`minigrad.ops.custom.NormalizedSwish`) derives both. minigrad's own name;
    PyTorch has none.

    Raises:
        DtypeError: an input that is not floating.
    """
    return NormalizedSwish.apply(require_floating(input, "normalized_swish"))
