"""The convolution kernels stay inside their arrays, and refuse arrays that do not fit together.

A kernel computes addresses and looks no further, so one number off reads or writes what lies beside an array. The
public face cannot show that: here the pairs are called with arrays that lie between guards.
"""

from __future__ import annotations

import random
from typing import Any

import numba
import numpy as np
import pytest
from kernel_checks import ByKernel, Fences, Guards, draw, passes_between_fences

from minigrad import kernels
from minigrad.kernels.conv import choose as conv
from minigrad.kernels.machine import threads as sharing
from minigrad.ops.conv import Conv2d, ConvTranspose2d, ConvWeight2d
from minigrad.ops.fused import Conv2dActivation

from .test_choose import LARGE, SHAPES, Shape

pytestmark = pytest.mark.usefixtures("one_core")

SMALL = (1, 1, 1, 2, 3)


def some_shapes(count: int) -> list[Shape]:
    """Random shapes, small ones above all: there a tile is larger than what it is to fill."""
    rng = random.Random(0)
    found: list[Shape] = []
    while len(found) < count:
        groups, (c, o) = rng.choice(SMALL), rng.choices([1, 2, 3, 5, 11, 15, 16, 17, 24, 33, 65], k=2)
        multiplier = rng.choice([1, 2])
        channels = (groups, groups * multiplier) if rng.random() < 0.15 else (c * groups, o * groups)
        kernel = rng.choice([(3, 3), (3, 3), (1, 1), (2, 3), (5, 5), (1, 4), (7, 2)])
        plain = rng.random() < 0.5
        stride, dilation = ((1, 1) if plain else (rng.choice(SMALL), rng.choice(SMALL)) for _ in range(2))
        padding = rng.randint(0, 3), rng.randint(0, 3)
        size = rng.randint(1, 13), rng.randint(1, 18)
        shape = Shape(rng.randint(1, 4), channels[0], size, channels[1], kernel, stride, padding, dilation, groups)
        if min(shape.out) > 0:
            found.append(shape)
    return found


def textbook(op: Any, wanted: tuple[bool, ...], dy: Any, *args: Any) -> tuple[Any, Any]:
    """Output and gradients of an op in float64."""
    ctx = op()
    ctx.edges = [True if want else None for want in wanted]
    with kernels.disabled():
        y = op.forward(ctx, *[a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args])
        return y, op.backward(ctx, dy.astype(np.float64))


def close(a: Any, b: Any, length: float) -> None:
    assert a.shape == b.shape
    assert np.isfinite(a).all()
    np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(length**0.5, np.abs(b).max()))


@pytest.mark.parametrize(("count", "shapes"), [(1, 300), (3, 100)])
def test_nothing_beside_the_arrays_is_read_or_written(
    guards: Guards, threads: Any, monkeypatch: pytest.MonkeyPatch, count: int, shapes: int
) -> None:
    threads(count)
    numba.set_num_threads(1)  # shares are shares, whoever does them, and nobody has to wait for a busy core
    monkeypatch.setattr(sharing, "WORTH", 1e-9)  # the smallest work is shared as well
    for i, shape in enumerate([*SHAPES, *LARGE.values(), *some_shapes(shapes)]):
        rng = np.random.default_rng(i)
        x, w, b = (guards.around(a) for a in shape.arrays(i))
        dy = guards.around(draw(rng, shape.n, shape.o, *shape.out))
        options, wanted, length = shape[5:], (True, True, True), max(shape.lengths())
        activation = ("relu", "tanh", "sigmoid")[i % 3]
        for op, arrays, upstream, more in (
            (Conv2d, (x, w, b), dy, options),
            (Conv2dActivation, (x, w, b), dy, (*options, activation)),
            (ConvTranspose2d, (dy, w, None), x, (shape.size, *options)),
            (ConvWeight2d, (x, dy), w, (shape.kernel, *options)),
        ):
            kernel = ByKernel(op, wanted if arrays[-1] is not None else (True, True, False))
            y = kernel.forward(*arrays, *more)
            gradients = kernel.backward(upstream)
            exact, exact_gradients = textbook(op, wanted, upstream, *arrays, *more)
            close(y, exact, length)
            for a, e, given in zip(gradients, exact_gradients, arrays, strict=False):
                if given is not None:
                    close(a, e, length)
        guards.check()


@pytest.mark.skipif(Fences.protect is None, reason="memory is fenced by a call of Linux")
def test_no_address_beyond_the_arrays_is_touched() -> None:
    passes_between_fences(f"{__file__}::test_nothing_beside_the_arrays_is_read_or_written")


@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (False, False, True)])
def test_one_gradient_alone(guards: Guards, wanted: tuple[bool, ...]) -> None:
    for shape in LARGE.values():
        x, w, b = (guards.around(a) for a in shape.arrays())
        dy = guards.around(draw(np.random.default_rng(1), shape.n, shape.o, *shape.out))
        for op, more in ((Conv2d, ()), (Conv2dActivation, ("tanh",))):
            kernel = ByKernel(op, wanted)
            kernel.forward(x, w, b, *shape[5:], *more)
            gradients = kernel.backward(dy)
            _, exact = textbook(op, wanted, dy, x, w, b, *shape[5:], *more)
            for a, e, want in zip(gradients, exact, wanted, strict=True):
                assert (a is not None) == want
                if want:
                    close(a, e, max(shape.lengths()))
        guards.check()


OPS: dict[str, Any] = {
    "conv2d": Conv2d,
    "conv2d_activation": Conv2dActivation,
    "conv_transpose2d": ConvTranspose2d,
    "weight_gradient2d": ConvWeight2d,
}
FIT: dict[str, Any] = {  # arguments that fit, as arrays' shapes and options
    "conv2d": [(2, 4, 6, 7), (6, 2, 3, 3), (6,), (1, 1), (1, 1), (1, 1), 2],
    "conv2d_activation": [(2, 4, 6, 7), (6, 2, 3, 3), (6,), (1, 1), (1, 1), (1, 1), 2, "relu"],
    "conv_transpose2d": [(2, 6, 6, 7), (6, 2, 3, 3), (4,), (6, 7), (1, 1), (1, 1), (1, 1), 2],
    "weight_gradient2d": [(2, 4, 6, 7), (2, 6, 6, 7), (3, 3), (1, 1), (1, 1), (1, 1), 2],
}
MISFITS: dict[str, list[dict[int, Any]]] = {
    "conv2d": [
        {0: (2, 5, 6, 7)},  # channels that are not groups × those of the weight
        {0: (2, 2, 6, 7)},
        {0: (2, 4, 6)},
        {0: (4, 6, 7)},
        {0: (0, 4, 6, 7)},
        {0: (2, 4, 0, 7)},
        {0: (2, 4, 1, 7), 4: (0, 1)},  # smaller than the kernel
        {1: (6, 4, 3, 3)},
        {1: (5, 2, 3, 3), 2: (5,)},  # outputs that the groups do not divide
        {1: (0, 2, 3, 3), 2: (0,)},
        {1: (6, 2, 9, 3)},
        {1: (6, 2, 3)},
        {2: (5,)},
        {2: (7,)},
        {2: (6, 1)},
        {6: 3},
        {6: 4},
        {5: (4, 1)},
    ],
    "conv_transpose2d": [
        {0: (2, 5, 6, 7)},
        {0: (2, 6, 7, 7)},  # more rows than the size and the stride say
        {0: (2, 6, 6, 6)},
        {0: (6, 6, 7)},
        {1: (5, 2, 3, 3)},
        {1: (6, 2, 5, 3)},
        {2: (2,)},
        {2: (6,)},
        {3: (7, 7)},
        {3: (6, 9)},
        {4: (2, 1)},
        {7: 3},
        {7: 4},
    ],
    "weight_gradient2d": [
        {0: (3, 4, 6, 7)},  # more images here than there
        {0: (2, 4, 5, 7)},
        {0: (2, 4, 6, 9)},
        {0: (2, 5, 6, 7)},
        {0: (4, 6, 7)},
        {1: (1, 6, 6, 7)},
        {1: (2, 6, 7, 7)},
        {1: (2, 5, 6, 7)},
        {2: (5, 3)},
        {3: (2, 1)},
        {4: (0, 1)},
        {5: (1, 2)},
        {6: 3},
    ],
}
MISFITS["conv2d_activation"] = MISFITS["conv2d"]
ARRAYS = {"conv2d": 3, "conv2d_activation": 3, "conv_transpose2d": 3, "weight_gradient2d": 2}


def filled(name: str, arguments: list[Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [draw(rng, *a) if i < ARRAYS[name] else a for i, a in enumerate(arguments)]


@pytest.mark.parametrize(("name", "changed"), [(name, c) for name, rows in MISFITS.items() for c in rows], ids=str)
def test_what_does_not_fit_is_left_to_the_textbook(name: str, changed: dict[int, Any]) -> None:
    arguments = list(FIT[name])
    for i, value in changed.items():
        arguments[i] = value
    kernel = ByKernel(OPS[name])
    assert kernel.forward(*filled(name, FIT[name])) is not NotImplemented
    assert kernel.forward(*filled(name, arguments)) is NotImplemented


@pytest.mark.parametrize("name", FIT)
def test_other_numbers_are_left_to_the_textbook(name: str) -> None:
    for dtype in (np.float64, np.float16, ">f4", np.int32):
        for i in range(ARRAYS[name]):
            arguments = filled(name, FIT[name])
            arguments[i] = arguments[i].astype(dtype)
            assert ByKernel(OPS[name]).forward(*arguments) is NotImplemented
        kernel = ByKernel(OPS[name])
        y = kernel.forward(*filled(name, FIT[name]))
        assert kernel.backward(y.astype(dtype)) is NotImplemented


@pytest.mark.parametrize("name", FIT)
def test_a_layout_changes_nothing(name: str) -> None:
    """A kernel reads numbers one behind the other, whatever the array it was given looks like."""

    def gap(a: Any) -> Any:
        return np.repeat(a, 2, axis=-1)[..., ::2]

    def locked(a: Any) -> Any:
        a = a.copy()
        a.flags.writeable = False
        return a

    plain = filled(name, FIT[name])
    count, results = ARRAYS[name], []
    for relay in (np.array, np.asfortranarray, gap, lambda a: np.flip(np.flip(a).copy()), locked):
        kernel = ByKernel(OPS[name])
        y = kernel.forward(*[relay(a) for a in plain[:count]], *plain[count:])
        gradients = kernel.backward(relay(draw(np.random.default_rng(1), *y.shape)))
        results.append([y, *gradients])
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6)  # NumPy adds db up in the order of memory


def test_arrays_at_any_address() -> None:
    """Memory that begins in the middle of a number, as a file may leave it."""
    shape = Shape(2, 3, (8, 9), 20, (3, 3), padding=(1, 1))
    x, w, b = shape.arrays()
    raw = np.zeros(x.nbytes + 1, np.uint8)
    odd = raw[1:].view(np.float32).reshape(x.shape)
    odd[...] = x
    assert not odd.flags.aligned
    y = ByKernel(Conv2d).forward(odd, w, b, *shape[5:])
    np.testing.assert_array_equal(y, conv.conv2d(x, w, b, *shape[5:]))
