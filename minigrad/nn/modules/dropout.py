"""Dropout."""

from __future__ import annotations

from ...tensor import Tensor
from .. import functional as F
from ..module import Module
from .arguments import probability


class Dropout(Module):
    """While training, each element is zero with probability ``p`` and the others are divided by 1 − p.

    The division keeps the expected value: E[y] = p·0 + (1 − p)·x/(1 − p) = x. So in evaluation (``eval()``)
    nothing has to be done, and y = x. Any shape. Source: Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        probability("Dropout", p=p)
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
