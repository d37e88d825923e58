"""The convolution kernels against the textbook, over shapes that take each of the ways of computing them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernel_checks import UNIT, both_ways, draw, run

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.kernels.conv import depthwise, direct, flat, winograd
from minigrad.kernels.machine.compile import Compiled
from minigrad.ops.fused import Conv2dActivation

pytestmark = pytest.mark.usefixtures("one_core")

WAYS = {m.__name__.rpartition(".")[2]: m for m in (depthwise, flat, winograd, direct)}


class Shape(NamedTuple):
    n: int
    c: int
    size: tuple[int, int]
    o: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def out(self) -> tuple[int, int]:
        h, w = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(self.size, self.padding, self.dilation, self.kernel, self.stride, strict=True)
        )
        return h, w

    def conv(self, x: Any, w: Any, b: Any = None) -> Any:
        return F.conv2d(x, w, b, *self[5:])

    def arrays(self, seed: int = 0) -> list[Any]:
        """x, w and b."""
        rng = np.random.default_rng(seed)
        return [
            draw(rng, self.n, self.c, *self.size),
            draw(rng, self.o, self.c // self.groups, *self.kernel),
            draw(rng, self.o),
        ]

    def lengths(self) -> tuple[int, int, int, int]:
        """How many products each number of y, dx, dw and db sums."""
        taps, pixels = self.kernel[0] * self.kernel[1], self.n * self.out[0] * self.out[1]
        return self.c // self.groups * taps, self.o // self.groups * taps, pixels, pixels

    def __str__(self) -> str:
        return "-".join("x".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in self)


# Every way, for registers of 4, 8 and 16 numbers alike: few channels are at most 3, many at least 16.
SHAPES = [
    # depthwise, one and two kernels per channel
    Shape(2, 5, (7, 9), 5, (3, 3), padding=(1, 1), groups=5),
    Shape(3, 16, (16, 17), 32, (3, 3), (1, 1), (1, 1), (1, 1), 16),
    Shape(2, 6, (11, 13), 12, (5, 3), (2, 3), (2, 1), (1, 2), 6),
    Shape(1, 3, (6, 5), 3, (1, 1), (2, 2), groups=3),
    # few output channels, few input channels: vectors of pixels
    Shape(3, 1, (32, 32), 6, (5, 5)),
    Shape(2, 3, (17, 19), 40, (3, 3), padding=(1, 1)),
    Shape(5, 20, (9, 11), 3, (3, 3), padding=(1, 2)),
    Shape(4, 20, (13, 12), 2, (3, 2), padding=(2, 0), dilation=(2, 3)),
    Shape(2, 2, (70, 68), 3, (7, 7), padding=(3, 3)),
    Shape(7, 2, (3, 3), 3, (3, 3), padding=(2, 2)),
    Shape(3, 18, (8, 8), 2, (1, 1)),
    Shape(3, 2, (6, 7), 20, (1, 1), padding=(2, 3)),  # more padding than kernel: the way back cuts off
    Shape(2, 6, (9, 9), 4, (3, 3), padding=(1, 1), groups=2),
    # 3 × 3 with many channels: sizes that are and are not multiples of 4, odd channels, padding 0, 1, 2
    Shape(2, 16, (8, 8), 16, (3, 3), padding=(1, 1)),
    Shape(3, 17, (9, 10), 33, (3, 3)),
    Shape(2, 33, (11, 13), 17, (3, 3), padding=(2, 2)),
    Shape(1, 65, (6, 7), 97, (3, 3), padding=(1, 1)),
    Shape(2, 97, (10, 5), 65, (3, 3), padding=(0, 1)),
    Shape(3, 32, (4, 4), 64, (3, 3), padding=(2, 1)),
    Shape(3, 16, (3, 3), 20, (3, 3), padding=(1, 1)),
    Shape(2, 48, (14, 14), 128, (3, 3), padding=(1, 1)),
    Shape(2, 40, (9, 9), 66, (3, 3), padding=(1, 1), groups=2),
    # the rest
    Shape(2, 16, (7, 8), 24, (1, 1)),
    Shape(3, 33, (9, 9), 17, (1, 1), (2, 2)),
    Shape(2, 16, (14, 14), 20, (5, 5)),
    Shape(2, 17, (15, 13), 33, (5, 5), (2, 2), (2, 2)),
    Shape(2, 16, (16, 15), 18, (7, 7), padding=(3, 3)),
    Shape(2, 3, (29, 30), 33, (7, 7), (2, 2), (3, 3)),
    Shape(3, 32, (16, 16), 64, (3, 3), (2, 2), (1, 1)),
    Shape(2, 20, (12, 14), 24, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Shape(2, 16, (13, 17), 35, (2, 3), (1, 2), (0, 3), (3, 1)),
    Shape(1, 16, (20, 20), 16, (3, 3), (5, 4), (1, 1)),  # strides beyond the kernel: phases that no tap reaches
    Shape(2, 16, (5, 6), 16, (1, 1), (1, 1), (3, 2)),  # the way back has negative padding
    Shape(2, 24, (8, 9), 16, (3, 2), (2, 1), (4, 3)),
    Shape(2, 30, (9, 8), 48, (3, 3), (2, 1), (1, 1), groups=3),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the ways taken, in order, as the kernels of their files are called."""
    taken: list[str] = []

    def recorded(way: str, kernel: Any) -> Any:
        def call(*args: Any) -> Any:
            taken.append(way)
            return kernel(*args)

        return call

    for way, module in WAYS.items():
        for thing in vars(module).values():
            if isinstance(thing, Compiled) and thing.dispatcher.targetoptions.get("parallel"):
                monkeypatch.setattr(thing, "launch", recorded(way, thing.launch))
    return taken


def assert_close(shape: Shape, found: list[Any], exact: list[Any], ways: list[str] | None = None) -> None:
    """Hold y, dx, dw, db against the exact ones.

    The numbers are normal, so a sum of K products is around √K. Adding K float32 up one by one rounds by a unit u of
    a partial sum in each step, errors of both signs: u √K · √K / 2 in all, and a few times that at worst. (Kernels add
    in several lanes and threads, which makes it smaller.) So the bound is u (4 + 2 √K) relative to the largest sum, 4 u
    for the bias and the store: 6e-7 for ten products, 4e-6 for a thousand. Half of it was seen among thousands of
    shapes.

    Winograd's transforms make numbers larger than the result and subtract them: its error is 1.6 times that of a plain
    sum on average, and a few times at worst. Its bound is 1e-5 of the largest; a third of it was seen.
    """
    fast = "winograd" in (ways or WAYS)
    for what, a, b, length in zip(("y", "dx", "dw", "db"), found, exact, shape.lengths(), strict=True):
        assert a.dtype == np.float32
        assert a.shape == b.shape
        largest = max(np.abs(b).max(), length**0.5)
        bound = 1e-5 if fast and what != "db" else UNIT * (4 + 2 * length**0.5)
        assert np.abs(a - b).max() <= bound * largest, (what, np.abs(a - b).max() / largest, bound)


@each_shape
def test_each_way_is_the_textbook(shape: Shape, ways: list[str]) -> None:
    found, exact = both_ways(shape.conv, *shape.arrays())
    assert_close(shape, found, exact, ways)


def test_every_way_is_among_the_shapes(ways: list[str]) -> None:
    """Forward, back to the input and back to the weight: each takes each way for some shape above."""
    missing = {(way, part) for way in WAYS for part in ("forward", "dx", "dw")}
    for shape in SHAPES:
        x, w, _ = (minigrad.tensor(a) for a in shape.arrays())
        for part, leaf in (("dx", x), ("dw", w)):
            ways.clear()
            leaf.requires_grad = True
            y = shape.conv(x, w)
            missing -= {(way, "forward") for way in ways}
            ways.clear()
            y.backward(minigrad.ones_like(y))
            missing -= {(way, part) for way in ways}
            leaf.requires_grad = False
    assert not missing


CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 32, 33])
SMALL = st.integers(1, 3)


@st.composite
def shapes(draw: Any) -> Shape:
    groups = draw(st.sampled_from([1, 1, 1, 1, 2, 3]))
    if draw(st.integers(0, 5)) == 0:  # depthwise
        c = groups = draw(st.integers(2, 9))
        o = c * draw(st.integers(1, 3))
    else:
        c, o = draw(CHANNELS) * groups, draw(CHANNELS) * groups
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (1, 1), (2, 3), (5, 5), (1, 4), (7, 2)]))
    plain = draw(st.booleans())
    stride = (1, 1) if plain else (draw(SMALL), draw(SMALL))
    dilation = (1, 1) if plain else (draw(SMALL), draw(SMALL))
    padding = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    size = draw(st.integers(1, 15)), draw(st.integers(1, 19))
    shape = Shape(draw(st.integers(1, 5)), c, size, o, kernel, stride, padding, dilation, groups)
    assume(min(shape.out) > 0)
    return shape


@settings(max_examples=300)
@given(shape=shapes(), seed=st.integers(0, 2**16))
def test_any_shape_is_the_textbook(shape: Shape, seed: int) -> None:
    assert_close(shape, *both_ways(shape.conv, *shape.arrays(seed), seed=seed))


@settings(max_examples=60)
@given(shape=shapes(), seed=st.integers(0, 2**16), rest=st.integers(0, 2))
def test_any_transposed_shape_is_the_textbook(shape: Shape, seed: int, rest: int) -> None:
    """conv_transpose2d is the way back as a forward pass, with a bias; its ways back are the two other kernels."""
    _, _, _, _, _, stride, padding, dilation, groups = shape
    more = min(rest, max(stride[0], dilation[0]) - 1), min(rest, max(stride[1], dilation[1]) - 1)
    assume(
        all(
            (n - 1) * s - 2 * p + d * (k - 1) + m + 1 > 0
            for n, s, p, d, k, m in zip(shape.out, stride, padding, dilation, shape.kernel, more, strict=True)
        )
    )
    rng = np.random.default_rng(seed)
    x, w = draw(rng, shape.n, shape.o, *shape.out), draw(rng, shape.o, shape.c // groups, *shape.kernel)

    def transposed(x: Any, w: Any, b: Any) -> Any:
        return F.conv_transpose2d(x, w, b, stride, padding, more, groups, dilation)

    found, exact = both_ways(transposed, x, w, draw(rng, shape.c), seed=seed)
    for a, b in zip(found, exact, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(np.abs(b).max(), max(shape.lengths()) ** 0.5))


# One shape per way, large enough that two threads share the work.
LARGE = {
    "depthwise": Shape(5, 12, (32, 31), 24, (3, 3), padding=(1, 1), groups=12),
    "flat": Shape(5, 3, (30, 31), 20, (5, 5), padding=(2, 2)),
    "winograd": Shape(5, 33, (15, 14), 40, (3, 3), padding=(1, 1)),
    "direct": Shape(5, 20, (17, 16), 33, (5, 5), (2, 2), (2, 2)),
}
each_way = pytest.mark.parametrize("way", LARGE)


@each_way
def test_threads_change_rounding_only_and_runs_repeat_bit_for_bit(way: str, threads: Any, ways: list[str]) -> None:
    shape = LARGE[way]
    arrays = shape.arrays()
    results = {}
    for count in (1, 2, 3, 8):  # 8: more threads than images
        threads(count)
        ways.clear()
        results[count], exact = both_ways(shape.conv, *arrays)
        assert set(ways) == {way}
        assert_close(shape, results[count], exact, ways)
        for _ in range(2):
            for a, b in zip(both_ways(shape.conv, *arrays)[0], results[count], strict=True):
                np.testing.assert_array_equal(a, b)
    for count in (2, 3, 8):
        for a, b in zip(results[count][:2], results[1][:2], strict=True):  # y, dx: an image is one thread's
            np.testing.assert_array_equal(a, b)


@each_way
def test_one_image_and_more_threads_than_images(way: str, threads: Any, ways: list[str]) -> None:
    shape = LARGE[way]._replace(n=1)
    threads(4)
    found, exact = both_ways(shape.conv, *shape.arrays())
    assert set(ways) == {way}
    assert_close(shape, found, exact, ways)


@each_way
def test_inputs_stay_as_they_are(way: str) -> None:
    shape = LARGE[way]
    arrays = shape.arrays()
    upstream = draw(np.random.default_rng(1), shape.n, shape.o, *shape.out)
    before = [a.copy() for a in (*arrays, upstream)]
    run(shape.conv, arrays, upstream)
    for a, b in zip((*arrays, upstream), before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_way
def test_arrays_in_any_order_in_memory(way: str) -> None:
    """Pixel-major images, every second number of a line, weights read backwards, gradients in any order or one number
    everywhere."""
    shape = LARGE[way]
    x, w, b = shape.arrays()
    random = draw(np.random.default_rng(2), *[shape.n, shape.o, *shape.out][::-1]).T
    for upstream in (random, np.broadcast_to(np.float32(0.5), random.shape)):
        wanted = run(shape.conv, [x, w, b], upstream.copy(order="C"))
        for arrays in (
            [x, w, b],
            [np.asfortranarray(x), w, b],
            [np.repeat(x, 2, axis=3)[..., ::2], np.flip(np.flip(w).copy()), np.repeat(b, 3)[::3]],
        ):
            assert_close(shape, run(shape.conv, arrays, upstream), wanted)


def seen_from(shape: Shape, place: tuple[int, int]) -> Any:
    """The outputs whose windows hold a pixel, as a mask (OH, OW)."""
    axes = []
    for at, k, s, p, d, out in zip(
        place, shape.kernel, shape.stride, shape.padding, shape.dilation, shape.out, strict=True
    ):
        reached = np.zeros(out, bool)
        for i in range(out):
            reached[i] = at in range(i * s - p, i * s - p + d * k, d)
        axes.append(reached)
    return np.logical_and.outer(*axes)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@each_way
def test_a_bad_pixel_reaches_the_windows_that_see_it_and_no_other_image(way: str, bad: float, threads: Any) -> None:
    shape = LARGE[way]
    threads(2)
    x, w, b = shape.arrays()
    clean = shape.conv(*map(minigrad.tensor, (x, w, b))).numpy()
    for place in ((0, 0), (7, 8), (shape.size[0] - 1, shape.size[1] - 1)):
        x_bad = x.copy()
        x_bad[2, 1, place[0], place[1]] = bad
        y = shape.conv(*map(minigrad.tensor, (x_bad, w, b))).numpy()
        others = [0, 1, 3, 4]
        np.testing.assert_array_equal(y[others], clean[others])
        seen = np.broadcast_to(seen_from(shape, place), y.shape[1:]).copy()
        if way == "depthwise":  # channel 1 makes outputs 2 and 3
            seen[:2] = seen[4:] = False
        assert not np.isfinite(y[2])[seen].any()
        if way == "winograd":  # the plain sum has computed this image
            np.testing.assert_allclose(y[2][~seen], clean[2][~seen], rtol=0, atol=1e-4)
        else:
            np.testing.assert_array_equal(y[2][~seen], clean[2][~seen])
        with kernels.disabled():
            exact = shape.conv(*map(minigrad.tensor, (x_bad, w, b))).numpy()
        np.testing.assert_array_equal(np.isnan(y), np.isnan(exact))
        np.testing.assert_array_equal(y[np.isinf(exact)], exact[np.isinf(exact)])


@each_way
def test_a_bad_upstream_gradient_stays_in_its_image(way: str, threads: Any) -> None:
    shape = LARGE[way]
    threads(2)
    arrays = shape.arrays()
    upstream = draw(np.random.default_rng(3), shape.n, shape.o, *shape.out)
    clean = run(shape.conv, arrays, upstream)
    upstream[1, 3, 4, 5] = np.nan
    y, dx, dw, db = run(shape.conv, arrays, upstream)
    np.testing.assert_array_equal(y, clean[0])
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(dx[others], clean[1][others])
    assert np.isnan(dx[1]).any()
    for found, before in ((dw, clean[2]), (db, clean[3])):  # output channel 3 only
        others = [o for o in range(shape.o) if o != 3]
        np.testing.assert_array_equal(found[others], before[others])
        assert np.isnan(found[3]).any()


@each_way
def test_a_bad_weight_stays_in_its_output_channel(way: str) -> None:
    shape = LARGE[way]
    x, w, b = shape.arrays()
    clean = shape.conv(*map(minigrad.tensor, (x, w, b))).numpy()
    w[7, 0, 1, 1], b[9] = np.nan, np.inf
    y = shape.conv(*map(minigrad.tensor, (x, w, b))).numpy()
    others = [o for o in range(shape.o) if o not in (7, 9)]
    np.testing.assert_array_equal(y[:, others], clean[:, others])
    assert np.isnan(y[:, 7]).any()
    assert (y[:, 9] == np.inf).all()


BAD = [
    *LARGE.values(),
    Shape(2, 40, (9, 9), 40, (3, 3), padding=(1, 1), groups=2),
    Shape(3, 2, (9, 9), 3, (3, 3), padding=(1, 1)),
    Shape(2, 20, (7, 8), 20, (1, 1), (2, 2), (1, 1)),
    Shape(2, 20, (9, 9), 3, (5, 5), padding=(2, 2)),
]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("shape", BAD, ids=str)
def test_a_bad_number_goes_where_the_textbook_lets_it_go(shape: Shape, bad: float) -> None:
    """In the image and in the upstream gradient, forward and back, and through a transposed convolution."""

    def transposed(y: Any, w: Any, b: Any) -> Any:
        rest = [
            (h - k + 2 * p) % s
            for h, k, p, s in zip(shape.size, shape.kernel, shape.padding, shape.stride, strict=True)
        ]
        return F.conv_transpose2d(y, w, b, shape.stride, shape.padding, rest, shape.groups, shape.dilation)

    x, w, b = shape.arrays()
    y = draw(np.random.default_rng(3), shape.n, shape.o, *shape.out)
    sizes = []
    for spoilt in (x, y):
        place = spoilt.shape[0] // 2, spoilt.shape[1] // 2, 0, spoilt.shape[3] - 1
        before, spoilt[place] = spoilt[place], bad
        for call, image, bias, upstream in ((shape.conv, x, b, y), (transposed, y, b[:1].repeat(shape.c), x)):
            found = run(call, [image, w, bias], upstream)
            with kernels.disabled():
                exact = run(call, [image, w, bias], upstream)
            for a, e in zip(found, exact, strict=True):
                np.testing.assert_array_equal(np.isnan(a), np.isnan(e))
                np.testing.assert_array_equal(a[np.isinf(e)], e[np.isinf(e)])
                fine = np.isfinite(e)
                np.testing.assert_allclose(a[fine], e[fine], rtol=0, atol=1e-3)
                sizes.append(a.size - fine.sum())
        spoilt[place] = before
    assert max(sizes) > 0


def test_a_bad_number_under_a_relu(ways: list[str]) -> None:
    """What is cut off at 0 hides that it was not finite: -∞ of one output is not 0 of another."""
    shape = Shape(2, 32, (8, 8), 32, (3, 3), padding=(1, 1))
    x, w, b = shape.arrays()
    x[1, 3, 0, 0] = np.inf
    arrays = [minigrad.tensor(v) for v in (x, w, b)]
    y = Conv2dActivation.apply(*arrays, *shape[5:], "relu").numpy()
    assert "winograd" in ways
    with kernels.disabled():
        exact = F.relu(shape.conv(*arrays)).numpy()
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(exact))
    np.testing.assert_allclose(y[np.isfinite(exact)], exact[np.isfinite(exact)], rtol=0, atol=1e-4)
