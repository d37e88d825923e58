"""Running a model, and leaving it as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

from ...random import random_state, set_random_state
from ..module import Module

RUN = ("flags", "buffers", "gradients", "random")  # what running a model may change
EVERYTHING = (*RUN, "weights")

PutBack = Callable[[], None]


@contextlib.contextmanager
def preserved(model: Module, *parts: str) -> Iterator[None]:
    """Put back at the end what a model is made of, also when the block fails.

    Args:
        parts: :data:`RUN` if none are named.
            "flags": ``training`` of every module.
            "buffers": which there are, and their values: also those that no ``state_dict`` has, that were replaced
            in the block, or that are new.
            "gradients": ``grad`` of every parameter; the tensor, whose values the block must not change in place.
            "random": where the random generators stand (:func:`minigrad.random.random_state`).
            "weights": all that ``state_dict`` has, of which a copy is made.
    """
    put_back = snapshot(model, *parts)
    try:
        yield
    finally:
        put_back()


def snapshot(model: Module, *parts: str) -> PutBack:
    """A function that brings the parts of a model back to what they are now; see :func:`preserved`. Call it once."""
    stack = contextlib.ExitStack()  # one part that fails does not keep the others from being put back
    for part in reversed(parts or RUN):
        stack.enter_context(_PARTS[part](model))
    return stack.close


@contextlib.contextmanager
def _flags(model: Module) -> Iterator[None]:
    flags = [(module, module.training) for module in model.modules()]
    yield
    for module, training in flags:
        module.training = training


@contextlib.contextmanager
def _buffers(model: Module) -> Iterator[None]:
    owners = [(m, {name: getattr(m, name, None) for name in m._persistent}) for m in model.modules()]
    values = [(b, b._array, b._version[0], b.detach().clone()._array) for b in model.buffers()]
    yield
    for module, buffers in owners:
        for name in [name for name in module._persistent if name not in buffers]:
            delattr(module, name)
        for name, buffer in buffers.items():
            setattr(module, name, buffer)
    for buffer, array, version, value in values:
        buffer._array = array
        # A buffer that kept its value is left alone: a graph may still need it. Writing through `.data` is not
        # counted, so that the version alone does not tell.
        same = (array == value) | (array != array) & (value != value)  # NaN stayed NaN
        if buffer._version[0] != version or not same.all():
            array[...] = value
            buffer._version[0] += 1


@contextlib.contextmanager
def _gradients(model: Module) -> Iterator[None]:
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    yield
    for parameter, gradient in gradients:
        parameter.grad = gradient


@contextlib.contextmanager
def _random(model: Module) -> Iterator[None]:
    state = random_state()
    yield
    set_random_state(state)


@contextlib.contextmanager
def _weights(model: Module) -> Iterator[None]:
    state = copy.deepcopy(model.state_dict())
    yield
    model.load_state_dict(state)


_PARTS = {"flags": _flags, "buffers": _buffers, "gradients": _gradients, "random": _random, "weights": _weights}
