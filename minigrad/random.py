"""Random numbers: one seeded generator per kind of device, behind :func:`manual_seed`."""

from __future__ import annotations

import copy
import random as python_random
import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import cuda
from .devices import device as Device

_MAX_SEED = 2**63 - 1


class Generator:
    """A stream of random numbers, as ``torch.Generator``: NumPy's PCG64 on the CPU, CuPy's XORWOW on a GPU.

    The same seed gives the same numbers on every machine with the same NumPy; CPU and GPU streams differ.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = Device(device)
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream at ``seed`` (any integer; negative ones wrap as in PyTorch)."""
        self._seed = _integer(seed) % 2**64
        if self.device.type == "cpu":
            self._numpy: Any = np.random.Generator(np.random.PCG64(self._seed))
        else:
            self._numpy = cuda.require().random.default_rng(self._seed)
        return self

    def seed(self) -> int:
        """Restart the stream at a seed drawn from the operating system, and return it."""
        self.manual_seed(secrets.randbelow(_MAX_SEED))
        return self._seed

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """A snapshot of the stream that :meth:`set_state` goes back to: plain numbers, so it can be written as JSON."""
        if self.device.type != "cpu":
            raise NotImplementedError("Generator.get_state: CuPy does not give out the state of a GPU generator")
        return {"seed": self._seed, "stream": copy.deepcopy(self._numpy.bit_generator.state)}

    def set_state(self, state: dict[str, Any]) -> Generator:
        """Go back to a snapshot taken by :meth:`get_state`."""
        try:
            seed, stream = int(state["seed"]), state["stream"]
            np.random.PCG64().state = stream  # a damaged snapshot fails here, before anything changes
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"Generator.set_state: not a snapshot made by get_state ({error})") from None
        self.manual_seed(seed)
        self._numpy.bit_generator.state = stream
        return self


def _integer(seed: Any) -> int:
    try:
        return int(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"manual_seed: seed must be an integer, got {seed!r}") from None


_generators: dict[str, Generator] = {}
_seed_for_all: int | None = None


def default_generator(device: Any = "cpu") -> Generator:
    """The generator that every random function on this kind of device uses unless it is given another."""
    kind = Device(device).type
    if kind not in _generators:
        _generators[kind] = Generator(kind)
        if _seed_for_all is not None:
            _generators[kind].manual_seed(_seed_for_all)
    return _generators[kind]


cuda.generator = lambda: default_generator("cuda")


def manual_seed(seed: int) -> Generator:
    """Seed the generators of all devices, and return the CPU's."""
    global _seed_for_all
    _seed_for_all = _integer(seed)
    for generator in _generators.values():
        generator.manual_seed(seed)
    return default_generator()


def initial_seed() -> int:
    return default_generator().initial_seed()


def get_rng_state() -> dict[str, Any]:
    """The state of the CPU's default generator."""
    return default_generator().get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    default_generator().set_state(state)


def random_state() -> dict[str, Any]:
    """Where the generators stand that a training may draw from: minigrad's (CPU), NumPy's old one, Python's."""
    version, numbers, gauss = python_random.getstate()
    kind, key, *rest = np.random.get_state()
    return {
        "minigrad": get_rng_state(),
        "numpy": [kind, np.asarray(key, np.int64), *rest],  # files have no uint32
        "python": [version, np.array(numbers, np.int64), gauss],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """Go back to a :func:`random_state`."""
    version, numbers, gauss = state["python"]
    kind, key, *rest = state["numpy"]
    set_rng_state(state["minigrad"])
    np.random.set_state((kind, key.astype(np.uint32), *rest))
    python_random.setstate((version, tuple(numbers.tolist()), gauss))


def draws(generator: Generator | None, device: Any = "cpu") -> Any:
    """The NumPy or CuPy generator object to draw from."""
    if generator is None:
        return default_generator(device)._numpy
    if generator.device.type != Device(device or "cpu").type:
        raise ValueError(f"generator: it lives on {generator.device}, the tensor on {device}; make one for that device")
    return generator._numpy
