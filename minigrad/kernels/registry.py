"""Where kernels are found: each by its name and device, loaded when an array first asks for it.

``"pointwise.activation.relu"`` is the entry ``relu`` in ``KERNELS`` of ``kernels/pointwise/activation.py`` for NumPy's
arrays, and of ``kernels/pointwise/gpu.py`` for CuPy's, if there is one. Importing Numba takes half a second, so a
program whose arrays are all small does without.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from .machine.large import LARGE

# The files whose kernels leave small arrays to NumPy, and the fewest elements that any of them takes.
_FEWEST = {
    "attention.tiles": 1024,
    "indexing.rows": 512,
    "pointwise.activation": 128,
    "pointwise.softmax": 64,
    "pointwise.arithmetic": 1024,
    "pointwise.reduction": LARGE,
}


class Kernel:
    """What takes the place of an op's arithmetic, for the arrays of one device: two plain functions of arrays.

    Attributes:
        compute: has the arguments of the op's ``compute``, and its result.
        gradients: ``gradients(needs, dy, *saved, *options)`` with what the op kept; ``needs(i)`` says whether argument
            i of the op needs a gradient. It returns what the op's ``backward`` returns.

    Both return ``NotImplemented`` for what they do not take (device, dtype, layout, size): the op itself does it then.
    """

    __slots__ = ("compute", "device", "file", "gradients", "loaded", "name")

    def __init__(self, file: str, name: str, device: str) -> None:
        self.file, self.name, self.device = file, name, device
        self.compute: Callable[..., Any] = self._load_and_compute
        self.gradients: Callable[..., Any] = left_to_the_op
        self.loaded = False

    def _load_and_compute(self, *args: Any) -> Any:
        # Whether a kernel may serve depends on the arguments alone: an op's answer must not depend on what ran before.
        # (Nor on the threads of NumPy's BLAS, of which loading leaves one: so a float64 product loads, too.)
        fewest = _FEWEST.get(self.file, 0)
        for a in args:
            if self.device == "gpu" or (type(a) is np.ndarray and a.dtype.kind == "f" and a.size >= fewest):
                return self.load().compute(*args)
        return NotImplemented

    def load(self) -> Kernel:
        """Import the file, and return self. Raises ``KeyError`` naming what there is if it has no such kernel."""
        family = self.file.partition(".")[0]
        module = f"{__package__}.{self.file if self.device == 'cpu' else family + '.gpu'}"
        kernels = importlib.import_module(module).KERNELS if self.device == "cpu" or find_spec(module) else {}
        if self.name in kernels:
            compute, self.gradients = kernels[self.name]
            self.compute = compute  # last: another thread may take it from now on
        elif self.device == "cpu":
            raise KeyError(f"kernels: no kernel '{self.file}.{self.name}'; there are {', '.join(sorted(kernels))}")
        else:
            self.compute = left_to_the_op  # a family need not have all its kernels on both devices
        self.loaded = True
        return self


def left_to_the_op(*args: Any) -> Any:
    """A kernel's answer to everything where there is no kernel."""
    return NotImplemented


@cache
def find(name: str, device: str = "cpu") -> Kernel:
    """The kernel ``"family.file.name"`` of a device, "cpu" or "gpu"; it is loaded when first used."""
    file, _, short = name.rpartition(".")
    return Kernel(file, short, device)
