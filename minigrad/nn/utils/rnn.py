"""Sequences of different lengths as one batch: padded to the longest, or packed without padding.

Packed, the first elements of all sequences stand first, then the second elements of all that have one, and so on; the
longest sequence comes first among them. ``batch_sizes`` says how many sequences are that long at each step, so that a
recurrent layer can do each step for all of them at once and none for padding.

    sequences a b c, d e      padded  a b c      packed  a d b e c,  batch_sizes 2 2 1
                                      d e 0

Names and meanings are PyTorch's (``torch.nn.utils.rnn``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...creation import full, tensor
from ...errors import ShapeError
from ...ops.shape import cat
from ...tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences packed by :func:`pack_padded_sequence` or :func:`pack_sequence`.

    Attributes:
        data: (elements of all sequences, features …).
        batch_sizes: int64 on the CPU, how many sequences have an element at each step; never rising.
        sorted_indices: where each packed sequence stood in the batch; None if the order is the batch's.
        unsorted_indices: where each sequence of the batch stands among the packed ones.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    @property
    def is_cuda(self) -> bool:
        return self.data.is_cuda

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with ``data.to(…)``; the lengths stay on the CPU."""
        return self._replace(data=self.data.to(*args, **kwargs))


def _lengths(name: str, lengths: Any, batch: int, longest: int | None) -> Any:
    found = np.asarray(lengths.cpu().numpy() if isinstance(lengths, Tensor) else lengths)
    if found.ndim != 1 or found.dtype.kind not in "iu" or found.size != batch:
        raise ShapeError(f"{name}: lengths must be {batch} integers, one a sequence, got {lengths!r}")
    if found.size == 0 or found.min() < 1:
        raise ValueError(f"{name}: every sequence must have at least one element, got lengths {found.tolist()}")
    if longest is not None and found.max() > longest:
        raise ValueError(f"{name}: a length is {found.max()}, but the input has {longest} steps")
    return found


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch, (T, N, …) or with ``batch_first`` (N, T, …).

    Args:
        lengths: of each sequence, a list or tensor.
        enforce_sorted: the longest sequence comes first already; if not, they are sorted here.

    Raises:
        ShapeError: an input without steps and batch, or another number of lengths.
        ValueError: a length below 1 or above T, or lengths out of order with ``enforce_sorted``.
    """
    name = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(f"{name}: input must have steps and a batch, (T, N, …), got shape {tuple(input.shape)}")
    x = input.transpose(0, 1) if batch_first else input
    sizes = _lengths(name, lengths, x.shape[1], x.shape[0])
    order = inverse = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise ValueError(
                f"{name}: with enforce_sorted the longest sequence comes first, got lengths {sizes.tolist()}; pass "
                "enforce_sorted=False to have them sorted"
            )
    else:
        by_length = np.argsort(-sizes, kind="stable")
        sizes = sizes[by_length]
        order = tensor(by_length, device=x.device)
        inverse = tensor(np.argsort(by_length), device=x.device)
        x = x.index_select(1, order)
    counts = (sizes[None, :] > np.arange(sizes[0])[:, None]).sum(1)
    steps, columns = np.nonzero(np.arange(sizes.size)[None, :] < counts[:, None])
    data = x[tensor(steps, device=x.device), tensor(columns, device=x.device)]
    return PackedSequence(data, tensor(counts.astype(np.int64)), order, inverse)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Undo :func:`pack_padded_sequence`: (the padded batch, the lengths).

    Args:
        total_length: pad to so many steps; at least the longest sequence's.
    """
    counts = sequence.batch_sizes.numpy()
    steps = len(counts)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                f"pad_packed_sequence: total_length ({total_length}) is less than the longest sequence ({steps})"
            )
        steps = total_length
    data, batch = sequence.data, int(counts[0])
    # Each place of the padded batch takes a row of the packed one; those behind an end take the padding, the last row.
    places = np.full((steps, batch), data.shape[0])
    start = 0
    for t, n in enumerate(counts):
        places[t, :n] = np.arange(start, start + n)
        start += n
    padding = full((1, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    padded = cat([data, padding])[tensor(places, device=data.device)]
    lengths = tensor((counts[None, :] > np.arange(batch)[:, None]).sum(1).astype(np.int64))
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences (Lᵢ, …) as one batch (T, N, …), T the longest; N first with ``batch_first``.

    ``padding_side``: "right", behind a sequence, or "left", before it.
    """
    if padding_side not in ("right", "left"):
        raise ValueError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    parts = list(sequences)
    if not parts:
        raise ValueError("pad_sequence: got no sequences")
    longest = max(part.shape[0] for part in parts)
    padded = []
    for part in parts:
        missing = (longest - part.shape[0], *part.shape[1:])
        padding = full(missing, padding_value, dtype=part.dtype, device=part.device)
        padded.append(cat([part, padding] if padding_side == "right" else [padding, part]))
    stacked = cat([part.unsqueeze(0) for part in padded])
    return stacked if batch_first else stacked.transpose(0, 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each as long as it is."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    sizes = _lengths("unpad_sequence", lengths, x.shape[0], x.shape[1])
    return [x[i, : int(n)] for i, n in enumerate(sizes)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (Lᵢ, …), the longest first unless ``enforce_sorted`` is False."""
    lengths = [len(sequence) for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo :func:`pack_sequence`."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
