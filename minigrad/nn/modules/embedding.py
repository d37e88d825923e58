"""Embedding: a table of vectors, looked up by number."""

from __future__ import annotations

from typing import Any

from ...creation import empty
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..module import Module
from ..parameter import Parameter
from .arguments import naturals


class Embedding(Module):
    """y[…] = weight[index[…]]: the same as a one-hot vector times the table, without the multiplications.

    Shapes: index (…), integers in 0 … num_embeddings − 1 → y (…, embedding_dim); weight (num_embeddings,
    embedding_dim), drawn from N(0, 1).

    Args:
        num_embeddings: rows of the table.
        embedding_dim: length of each vector.
        padding_idx: a row that starts at zero and gets no gradient; negative counts from the end.
        max_norm, scale_grad_by_freq, sparse: not in minigrad; anything but the default is an error.

    Raises:
        ValueError: a size that is not a non-negative integer, or a ``padding_idx`` outside the table.
        NotImplementedError: one of PyTorch's options that minigrad leaves out.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        naturals("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if max_norm is not None:
            raise NotImplementedError(
                "Embedding: max_norm is not in minigrad (it changes the weight during forward); "
                "rescale the rows yourself under no_grad, after optimizer.step()"
            )
        for name, value in (("scale_grad_by_freq", scale_grad_by_freq), ("sparse", sparse)):
            if value:
                raise NotImplementedError(f"Embedding: {name}=True is not in minigrad; leave it False")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(f"Embedding: padding_idx {padding_idx} is outside the table of {num_embeddings} rows")
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        if _weight is None:
            self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        else:
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **unsupported: Any
    ) -> Embedding:
        """An Embedding around a table of shape (rows, length), frozen unless ``freeze=False``."""
        if embeddings.dim() != 2:
            raise ValueError(
                "Embedding.from_pretrained: the table must have 2 axes (rows, length), got shape "
                f"{tuple(embeddings.shape)}"
            )
        rows, length = embeddings.shape
        return cls(rows, length, padding_idx, _weight=embeddings, _freeze=freeze, **unsupported)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight._array[self.padding_idx] = 0
            self.weight._bump()

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
