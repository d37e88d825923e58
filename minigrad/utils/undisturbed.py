"""Running a model, and leaving it as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..nn import Module
from ..random import get_rng_state, set_rng_state


class Buffers:
    """A model's buffers (batch norm's running statistics) and their values at a moment, to go back to.

    All of them: also those that no ``state_dict`` has, that were replaced since, or that are new.
    """

    def __init__(self, model: Module) -> None:
        self._places = [(m, {name: getattr(m, name, None) for name in m._persistent}) for m in model.modules()]
        self._values = [(b, b._array, b._version[0], b.detach().clone()._array) for b in model.buffers()]

    def put_back(self) -> None:
        for module, buffers in self._places:
            for name in [name for name in module._persistent if name not in buffers]:
                delattr(module, name)
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
        for buffer, array, version, value in self._values:
            buffer._array = array
            # A buffer that kept its value is left alone: a graph may still need it. Writing through `.data` is not
            # counted, so that the version alone does not tell.
            same = (array == value) | (array != array) & (value != value)  # NaN stayed NaN
            if buffer._version[0] != version or not same.all():
                array[...] = value
                buffer._version[0] += 1


@contextlib.contextmanager
def undisturbed(model: Module) -> Iterator[None]:
    """Put back what running a model changes: training flags, buffers, the state of the CPU's random numbers."""
    flags = [(module, module.training) for module in model.modules()]
    buffers, state = Buffers(model), get_rng_state()
    try:
        yield
    finally:
        for module, training in flags:
            module.training = training
        buffers.put_back()
        set_rng_state(state)
