"""Rows of a table on the CPU: y = x[index] with integers along the first axis, as an embedding reads its words.

NumPy's ``add.at``, which adds the gradients up, looks at every element's index anew; here a row's is looked at once.
The rows are added in the order of the index by one thread, as the op does, so that the sums round alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..machine.compile import jit
from ..machine.layout import takes

SMALLEST = 512  # elements of a table: below, NumPy is as fast


@jit
def _add_rows(table: Any, index: Any, rows: Any) -> None:
    """table[index[i]] += rows[i] for each i in order."""
    for i in range(index.size):
        row, values = table[index[i]], rows[i]
        for j in range(row.size):
            row[j] += values[j]


def rows(x: Any, index: Any) -> Any:
    if not takes(x, SMALLEST) or not index.size:
        return NotImplemented
    return x.take(index, 0)


def rows_gradients(needs: Any, dy: Any, index: Any, shape: tuple[int, ...]) -> Any:
    if not takes(dy, 1):
        return NotImplemented
    several = dy.size > shape[0] * (dy.size // index.size)  # some rows get many gradients: as in `add_at`
    total = np.zeros((shape[0], dy.size // index.size), np.float64 if several else np.float32)
    _add_rows.launch(total, index.ravel(), dy.reshape(index.size, -1))
    with np.errstate(all="ignore"):  # what float32 does not hold becomes infinite without a warning
        return total.astype(np.float32, copy=False).reshape(shape)


KERNELS = {"rows": (rows, rows_gradients)}
