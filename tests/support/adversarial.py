"""Values at which implementations of an op part from its mathematics, and how an op is held against PyTorch on them.

An op is *right* at an element where it gives what PyTorch gives in the same dtype, or what the mathematics gives: the
same op in float64, rounded once. Gradients likewise; the upstream gradient is random and holds an infinity and a NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import minigrad

torch = pytest.importorskip("torch")

Array = np.ndarray[Any, Any]
DTYPES = ("float16", "float32", "float64")
# How far a result may lie from the right one, relative to it: a few roundings.
NEAR = {"float16": 2e-3, "float32": 1e-5, "float64": 1e-13}


def specials(dtype: str) -> Array:
    """Zeros, ±tiny, ±huge, ±∞, NaN, the kinks of the activations, and where their exponentials over- and underflow."""
    info = np.finfo(dtype)
    sizes = [0.0, info.tiny, info.eps, 0.5, 1.0, 1.5, 2.0, 3.0, 6.0, 17.0, 20.0, 88.0, 104.0, 710.0, 1e4]
    sizes += [float(info.max) ** 0.5, float(info.max) / 4, float(info.max), np.inf]
    return np.array([s * size for size in sizes for s in (1.0, -1.0)] + [np.nan], dtype)


def rows(dtype: str, size: int) -> dict[str, Array]:
    """Vectors for ops that mix their elements."""
    rng = np.random.default_rng(size)
    normal = rng.standard_normal(size)
    # Squares overflow and underflow; in float16 sums overflow as well. There is nothing wider than float64 to hold
    # float64 against, so there they do not.
    power = {"float16": 11, "float32": 120, "float64": 300}[dtype]
    huge, tiny = 2.0**power, 2.0**-power

    def spiked(*spikes: float) -> Array:
        x = normal.copy()
        x[: len(spikes)] = spikes
        return rng.permutation(x)

    made = {
        "ties": np.resize([2.0, 1.0, 2.0, -1.0], size),
        "equal": np.full(size, 3.0),
        "zeros": np.resize([0.0, -0.0], size),
        "tiny": normal * tiny,
        "huge": np.full(size, huge),
        "huge of both signs": np.resize([huge, -huge, huge / 3], size),
        "large mean": 1000 + np.resize([1.0, -1.0, 0.5], size),
        "mixed magnitudes": normal * 10.0 ** np.resize([-3, 0, 3], size),
        "inf": spiked(np.inf),
        "-inf": spiked(-np.inf),
        "all -inf": np.full(size, -np.inf),
        "inf and -inf": spiked(np.inf, -np.inf),
        "two infs": spiked(np.inf, np.inf),
        "nan": spiked(np.nan),
        "nan and inf": spiked(np.nan, np.inf),
    }
    return {name: x.astype(dtype) for name, x in made.items()}


def upstream(shape: tuple[int, ...], dtype: str, spikes: Sequence[float] = (), seed: int = 7) -> Array:
    """A random gradient with ``spikes`` (infinities, NaN) in some places."""
    rng = np.random.default_rng(seed)
    u = np.asarray(rng.standard_normal(shape))
    for i, spike in enumerate(spikes):
        u.reshape(-1)[i :: 2 * len(spikes) + 1] = spike
    return u.astype(dtype)


@dataclass
class Outcome:
    """What came out of an op: its outputs and the gradients of its floating inputs."""

    values: list[Array]
    grads: list[Array | None]

    def arrays(self) -> list[Array | None]:
        return [*self.values, *self.grads]


def outcome(
    lib: Any, call: Callable[..., Any], inputs: Sequence[Array], spikes: Sequence[float] = (), dtype: str | None = None
) -> Outcome:
    """Call the op on ``inputs`` (the floating ones as ``dtype``, if given) and walk back from all its outputs."""
    leaves = []
    for a in inputs:
        a = a.astype(dtype) if dtype is not None and a.dtype.kind == "f" else a
        t = lib.from_numpy(a if lib is minigrad or a.strides == () or min(a.strides) >= 0 else a.copy())
        leaves.append(t.requires_grad_() if a.dtype.kind == "f" else t)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = call(lib, *leaves)
        outs = [y for y in (out if isinstance(out, (tuple, list)) else (out,)) if hasattr(y, "detach")]
        through = [y for y in outs if y.requires_grad]
        if through:
            name = str(inputs[0].dtype) if inputs else "float64"  # the same numbers upstream in every dtype
            given = [upstream(tuple(y.shape), name, spikes).astype(y.detach().numpy().dtype) for y in through]
            lib.autograd.backward(through, [lib.from_numpy(u) for u in given])
    values = [np.array(y.detach().numpy()) for y in outs]
    return Outcome(values, [None if t.grad is None else np.array(t.grad.numpy()) for t in leaves])


def at_right(got: Array, want: Array, near: float, mixes: bool, noise: float = 0.0) -> Array:
    """Where ``got`` is ``want``, rounded to got's dtype, within ``near``; ops that mix elements are held to their
    largest result. ``noise`` is how many roundings of 1 it may be off beside that."""
    if got.dtype.kind != "f":
        return np.asarray(got == want)
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype).astype(np.float64)
        g = got.astype(np.float64)
        scale = np.max(np.abs(rounded), where=np.isfinite(rounded), initial=0.0) if mixes else 0.0
        bound = near * np.maximum(np.abs(rounded), scale) + 2 * float(info.tiny) + noise * float(info.eps)
        same = (g == rounded) | (np.isnan(g) & np.isnan(rounded))
        # Within a few roundings of the largest number it may also be infinite, and the other way round.
        edge = (1 - near) * float(info.max)
        over = (np.abs(g) >= edge) & (np.abs(rounded) >= edge) & (np.sign(g) == np.sign(rounded))
        return np.asarray(same | (np.abs(g - rounded) <= bound) | over)


def faults(
    got: Outcome,
    references: Sequence[Outcome],
    near: float,
    mixes: bool,
    noise: float = 0.0,
    allowed: Callable[[Array, Array], Any] = lambda g, w: False,
) -> list[str]:
    """What is right by none of the references and not allowed beside them, in words.

    A gradient of an op that mixes its elements may be off by a rounding of 1, the size of the upstream gradient.
    """
    found = []
    first = references[0]
    for i, g in enumerate(got.arrays()):
        what = f"output {i}" if i < len(got.values) else f"gradient {i - len(got.values)}"
        wanted = [r.arrays()[i] for r in references]
        if g is None or wanted[0] is None:
            # An input that does not matter has no gradient, or zeros.
            other = g if wanted[0] is None else wanted[0]
            if other is not None and other.any():
                found.append(f"{what}: {other} against None")
            continue
        if g.shape != wanted[0].shape or g.dtype != first.arrays()[i].dtype:
            found.append(f"{what}: {g.dtype} {g.shape}, expected {wanted[0].dtype} {wanted[0].shape}")
            continue
        beside = max(noise, float(mixes and i >= len(got.values)))
        right = np.logical_or.reduce([at_right(g, w, near, mixes, beside) | allowed(g, w) for w in wanted])
        if not right.all():
            k = int(np.flatnonzero(~right.reshape(-1))[0])
            texts = " or ".join(str(w.reshape(-1)[k]) for w in wanted)
            found.append(f"{what} at {k}: {g.reshape(-1)[k]}, expected {texts} ({int((~right).sum())} elements)")
    return found
