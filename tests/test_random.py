"""Random numbers: distributions, seeds that repeat, states that travel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.errors import DtypeError


def test_the_same_seed_gives_the_same_numbers() -> None:
    def draw() -> list[object]:
        minigrad.manual_seed(7)
        x = minigrad.rand(3)
        return [
            x.tolist(),
            minigrad.randn(2, 2, dtype=minigrad.float64).tolist(),
            minigrad.randint(0, 10, (5,)).tolist(),
            minigrad.randperm(8).tolist(),
            minigrad.bernoulli(x).tolist(),
            minigrad.multinomial(x, 2).tolist(),
            minigrad.normal(0.0, 1.0, (2,)).tolist(),
            minigrad.nn.functional.dropout(minigrad.ones(6)).tolist(),
            minigrad.empty(3).normal_().tolist(),
            minigrad.rand_like(x).tolist(),
            minigrad.randn_like(x).tolist(),
            minigrad.randint_like(x, 5).tolist(),
        ]

    first = draw()
    assert draw() == first
    minigrad.manual_seed(8)
    assert minigrad.rand(3).tolist() != first[0]


def test_seeds_of_every_kind() -> None:
    assert minigrad.manual_seed(5).initial_seed() == 5
    assert minigrad.initial_seed() == 5
    minigrad.manual_seed(-1)
    assert minigrad.initial_seed() == 2**64 - 1
    minigrad.manual_seed(np.int64(3))
    assert minigrad.initial_seed() == 3


def test_generators_are_streams_of_their_own() -> None:
    a, b = minigrad.Generator().manual_seed(1), minigrad.Generator().manual_seed(1)
    minigrad.manual_seed(0)
    want = minigrad.rand(3).tolist()
    minigrad.manual_seed(0)
    first = minigrad.rand(4, generator=a)
    assert minigrad.rand(3).tolist() == want
    assert minigrad.rand(4, generator=b).tolist() == first.tolist()
    assert minigrad.randperm(5, generator=a).tolist() == minigrad.randperm(5, generator=b).tolist()
    assert a.seed() != b.seed()


def test_a_state_can_be_written_and_read() -> None:
    g = minigrad.Generator().manual_seed(3)
    minigrad.rand(5, generator=g)
    state = json.loads(json.dumps(g.get_state()))
    want = minigrad.randn(4, generator=g).tolist()
    assert minigrad.randn(4, generator=minigrad.Generator().set_state(state)).tolist() == want
    before = minigrad.get_rng_state()
    x = minigrad.rand(2).tolist()
    minigrad.set_rng_state(before)
    assert minigrad.rand(2).tolist() == x
    for bad in ({}, {"seed": 1}, {"seed": 1, "stream": {}}, 3):
        with pytest.raises(ValueError, match="snapshot"):
            g.set_state(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_distributions(kind: str) -> None:
    minigrad.manual_seed(1)
    dtype = getattr(minigrad, kind)
    u, n = minigrad.rand(200, 100, dtype=dtype), minigrad.randn(200, 100, dtype=dtype)
    assert u.dtype == n.dtype == dtype
    u, n = u.double(), n.double()
    assert 0.0 <= u.min().item() < u.max().item() < 1.0
    assert u.mean().item() == pytest.approx(0.5, abs=0.01)
    assert u.var().item() == pytest.approx(1 / 12, abs=0.002)
    assert n.mean().item() == pytest.approx(0.0, abs=0.03)
    assert n.std().item() == pytest.approx(1.0, abs=0.03)


def test_integers_and_permutations() -> None:
    minigrad.manual_seed(2)
    x = minigrad.randint(2, 6, (1000,))
    assert set(x.tolist()) == {2, 3, 4, 5}
    assert x.dtype == minigrad.int64
    assert minigrad.randint(3, (2, 2)).shape == (2, 2)
    assert minigrad.randint(10, size=(3,)).shape == minigrad.randint(high=10, size=(3,)).shape == (3,)
    assert minigrad.rand(size=(2, 3)).shape == minigrad.randn(size=(2, 3)).shape == minigrad.rand((2, 3)).shape
    assert minigrad.randint(0, 2, (3,), dtype=minigrad.float32).dtype == minigrad.float32
    assert sorted(minigrad.randperm(100).tolist()) == list(range(100))
    assert minigrad.randperm(0).shape == (0,)


def test_drawing_with_weights() -> None:
    minigrad.manual_seed(3)
    w = minigrad.tensor([0.0, 1.0, 3.0])
    picked = minigrad.multinomial(w, 4000, replacement=True)
    assert (picked == 0).sum().item() == 0
    assert (picked == 2).float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert sorted(minigrad.multinomial(w[1:], 2).tolist()) == [0, 1]
    assert minigrad.multinomial(minigrad.ones(3, 5), 2).shape == (3, 2)
    p = minigrad.full((4000,), 0.3)
    assert minigrad.bernoulli(p).mean().item() == pytest.approx(0.3, abs=0.03)
    m = minigrad.normal(minigrad.tensor([0.0, 100.0]), 0.1)
    assert abs(m[1].item() - 100) < 1


def test_refusals() -> None:
    with pytest.raises(ValueError, match="high must be greater"):
        minigrad.randint(5, 5, (2,))
    with pytest.raises(TypeError, match="size is missing"):
        minigrad.randint(5)
    with pytest.raises(DtypeError, match="floating"):
        minigrad.rand(2, dtype=minigrad.int64)
    with pytest.raises(TypeError, match="give size"):
        minigrad.normal(0.0, 1.0)


# --- ranges: half-open intervals stay half-open after rounding

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64", "bool"]
BOUNDS = [(0, 1), (1000, 1001), (-0.1, 0.3), (-3, -2.7), (0.1, 0.2), (2047, 2049), (-60000, -59000), (5, 5), (0, 6e-8)]


def empty(kind: str, *shape: int) -> minigrad.Tensor:
    tensor: minigrad.Tensor = minigrad.empty(*(shape or (40_000,)), dtype=getattr(minigrad, kind))
    return tensor


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_uniform_draws_leave_the_upper_end_out(kind: str, low: float, high: float) -> None:
    minigrad.manual_seed(0)
    for x in (empty(kind).uniform_(low, high), minigrad.nn.init.uniform_(empty(kind, 50), low, high)):
        first, last = x.min().item(), x.max().item()
        assert low <= first
        assert last < high or first == last == low
        assert x.dtype.name == kind


def test_uniform_draws_that_rounding_would_put_on_the_end() -> None:
    """The largest draw that float32 has, 1 - 2⁻²⁴, is 1 in float16 and 1001 between 1000 and 1001."""

    class Extreme:
        def random(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
            return np.full(shape, np.nextafter(dtype.type(1), dtype.type(0)), dtype)

    generator = minigrad.Generator()
    generator._numpy = Extreme()
    assert minigrad.rand(3, dtype=minigrad.float16, generator=generator).tolist() == [1 - 2.0**-11] * 3
    assert minigrad.rand(1, generator=generator).item() == 1 - 2.0**-24
    for kind in FLOATS:
        x = empty(kind, 2).uniform_(1000, 1001, generator=generator)
        assert 1000.4 < x.max().item() < 1001
    assert (empty("float32", 9, 2)[::2].uniform_(1000, 1001, generator=generator) < 1001).all()


@pytest.mark.parametrize("kind", FLOATS)
def test_truncated_normals_stay_inside(kind: str) -> None:
    minigrad.manual_seed(0)
    x = minigrad.nn.init.trunc_normal_(empty(kind, 5000), 0.1, 0.3, a=0.1, b=0.7)
    assert 0.1 <= x.min().item() < x.max().item() <= 0.7


@pytest.mark.parametrize("kind", FLOATS + INTEGERS)
def test_random_fills_with_whole_numbers_of_the_dtype(kind: str) -> None:
    minigrad.manual_seed(1)
    dtype = getattr(minigrad, kind)
    top = 2.0 ** (np.finfo(kind).nmant + 1) if kind in FLOATS else 1 if kind == "bool" else np.iinfo(kind).max
    x = empty(kind).random_().double()
    assert x.min().item() >= 0
    assert 0.9 * top < x.max().item() <= top
    assert (x == x.floor()).all()
    assert {0, 1} == set(empty(kind).random_(2).long().tolist())
    assert (
        {1}
        == set(empty(kind).random_(1, 2).long().tolist())
        == set(empty(kind).random_(**{"from": 1, "to": 2}).long().tolist())
    )
    assert minigrad.randint(0, 2, (50,), dtype=dtype).long().max().item() == 1
    if kind in ("int8", "float16"):
        assert empty(kind).random_(**{"from": 100}).double().min().item() == 100


def test_whole_numbers_that_a_float_rounds_stay_inside() -> None:
    minigrad.manual_seed(0)
    for x in (empty("float16").random_(0, 60000), minigrad.randint(0, 60000, (40_000,), dtype=minigrad.float16)):
        assert x.max().item() < 60000
        assert x.double().isfinite().all()
    assert minigrad.randint(0, 2**40 + 1, (9000,), dtype=minigrad.float32).max().item() <= 2**40
    x = minigrad.randint(-(2**63), 2**63 - 1, (500,))
    assert x.min().item() < -(2**61)
    assert x.max().item() > 2**61


def test_permutations_fit_their_dtype() -> None:
    for kind, most in (("int8", 128), ("uint8", 256), ("float16", 2049)):
        dtype = getattr(minigrad, kind)
        assert sorted(minigrad.randperm(most, dtype=dtype).long().tolist()) == list(range(most))
        with pytest.raises(ValueError, match=f"randperm: expected n <= {most}, since {kind} does not hold"):
            minigrad.randperm(most + 1, dtype=dtype)


@pytest.mark.parametrize("kind", FLOATS)
def test_distributions_with_a_tail(kind: str) -> None:
    minigrad.manual_seed(5)
    exponential = empty(kind).exponential_(2.0).double()
    assert exponential.min().item() > 0
    assert exponential.mean().item() == pytest.approx(0.5, abs=0.02)
    logarithms = empty(kind).log_normal_(0.5, 0.25).double().log()
    assert logarithms.mean().item() == pytest.approx(0.5, abs=0.01)
    assert logarithms.std().item() == pytest.approx(0.25, abs=0.01)
    cauchy = empty(kind).cauchy_(3.0, 0.5).double()
    assert np.quantile(cauchy.numpy(), [0.25, 0.5, 0.75]) == pytest.approx([2.5, 3.0, 3.5], abs=0.05)
    for dtype in (kind, "int8", "int64"):
        trials = empty(dtype).geometric_(0.25).double()
        assert trials.min().item() == 1
        assert trials.mean().item() == pytest.approx(4.0, abs=0.1)
        assert (trials == 1).double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_probabilities_of_their_own_for_each_element() -> None:
    minigrad.manual_seed(2)
    x = minigrad.empty(5000, 3).bernoulli_(minigrad.tensor([0.0, 0.25, 1.0]))
    assert x.mean(0).tolist() == pytest.approx([0.0, 0.25, 1.0], abs=0.03)
    assert minigrad.bernoulli(minigrad.zeros(4), 1.0).tolist() == [1, 1, 1, 1]
    assert minigrad.empty(4, dtype=minigrad.int32).bernoulli_(1).tolist() == [1, 1, 1, 1]


def test_normals_have_the_dtype_of_what_they_are_made_of() -> None:
    half = minigrad.normal(minigrad.full((2000,), 3.0, dtype=minigrad.float16), 0.5)
    assert half.dtype == minigrad.float16
    assert half.double().mean().item() == pytest.approx(3.0, abs=0.1)
    mean = minigrad.zeros(2, requires_grad=True)
    assert not minigrad.normal(mean, minigrad.ones(2)).requires_grad
    assert minigrad.normal(2.0, 0.0, (3,)).tolist() == [2, 2, 2]


NAN, INF = float("nan"), float("inf")
BAD = [
    (lambda: minigrad.empty(2).uniform_(2, 1), "uniform_: expected bounds from <= to .*got 2 and 1"),
    (lambda: minigrad.empty(2).uniform_(NAN, 1), "got nan and 1"),
    (lambda: minigrad.empty(2).uniform_(0, INF), "got 0 and inf"),
    (lambda: minigrad.empty(2).uniform_(-3e38, 3e38), "to - from as well"),
    (lambda: empty("float16", 2).uniform_(0, 70000), "that float16 holds, whose largest number is 65504"),
    (lambda: minigrad.empty(2).normal_(0, -1), "normal_: expected a standard deviation std >= 0, got -1"),
    (lambda: minigrad.empty(2).normal_(0, NAN), "got nan"),
    (lambda: minigrad.normal(0.0, -1.0, (2,)), "normal: expected a standard deviation"),
    (lambda: minigrad.normal(0.0, minigrad.tensor([1.0, -1.0])), r"std >= 0, got \[ 1\. -1\.\]"),
    (lambda: minigrad.normal(minigrad.zeros(2), NAN), "got nan"),
    (lambda: minigrad.nn.init.normal_(minigrad.empty(2), 0, -1), "std >= 0"),
    (lambda: minigrad.nn.init.xavier_normal_(minigrad.empty(2, 2), -1), "std >= 0"),
    (lambda: minigrad.nn.init.trunc_normal_(minigrad.empty(2), 0, NAN), "std > 0"),
    (lambda: minigrad.empty(2).bernoulli_(2), "bernoulli_: expected probabilities between 0 and 1, got 2"),
    (lambda: minigrad.empty(2).bernoulli_(NAN), "got nan"),
    (lambda: minigrad.bernoulli(minigrad.tensor([0.5, 2.0])), "probabilities between 0 and 1"),
    (lambda: minigrad.bernoulli(minigrad.tensor([-0.5])), "probabilities between 0 and 1"),
    (lambda: minigrad.bernoulli(minigrad.tensor([NAN])), "probabilities between 0 and 1"),
    (lambda: minigrad.empty(2).random_(0), "random_: high must be greater than low, got 0 and 0"),
    (lambda: minigrad.empty(2).random_(5, 5), "got 5 and 5"),
    (lambda: empty("int8", 2).random_(0, 300), "random_: expected numbers of int8, -128 to 127, got bounds 0 and 300"),
    (lambda: empty("uint8", 2).random_(-1, 3), "numbers of uint8, 0 to 255"),
    (lambda: empty("float16", 2).random_(0, 70000), "numbers of float16, -65504 to 65504"),
    (lambda: minigrad.randint(0, 300, (2,), dtype=minigrad.uint8), "randint: expected numbers of uint8"),
    (lambda: minigrad.randint(0, 3, (2,), dtype=minigrad.bool), "numbers of bool, 0 to 1"),
    (lambda: minigrad.randint_like(minigrad.zeros(2, dtype=minigrad.int8), 200), "numbers of int8"),
    (lambda: minigrad.randint(0, 2**63 + 1, (2,)), "numbers of int64"),
    (lambda: minigrad.randperm(-1), "randperm: n must not be negative, got -1"),
    (lambda: minigrad.multinomial(minigrad.tensor([-1.0, 2.0]), 1), "weights that are finite and not negative"),
    (lambda: minigrad.multinomial(minigrad.tensor([1.0, NAN]), 1), "finite"),
    (lambda: minigrad.multinomial(minigrad.tensor([1.0, INF]), 1), "finite"),
    (lambda: minigrad.multinomial(minigrad.tensor([[1.0, 2.0], [0.0, 0.0]]), 1), "not all 0 in a row"),
    (lambda: minigrad.multinomial(minigrad.tensor([1.0, 2.0]), 0), "num_samples > 0, got 0"),
    (lambda: minigrad.multinomial(minigrad.tensor([1.0, 2.0]), 3), "num_samples <= 2.*got 3"),
    (lambda: minigrad.multinomial(minigrad.tensor([1.0, 0.0, 3.0]), 3), "num_samples <= 2"),
    (lambda: minigrad.empty(2).exponential_(0), "rate lambd > 0, got 0"),
    (lambda: minigrad.empty(2).geometric_(1), "0 < p < 1, got 1"),
    (lambda: minigrad.empty(2).log_normal_(0, 0), "std > 0, got 0"),
    (lambda: minigrad.empty(2).cauchy_(0, NAN), "sigma > 0, got nan"),
    (lambda: minigrad.rand(-1), r"rand: sizes must not be negative, got \(-1,\)"),
]


@pytest.mark.parametrize(("draw", "message"), BAD)
def test_parameters_that_make_no_distribution(draw: Callable[[], object], message: str) -> None:
    """Refused as in PyTorch (a RuntimeError there), with nothing drawn."""
    before = minigrad.get_rng_state()
    with pytest.raises(RuntimeError, match=message) as caught:
        draw()
    assert isinstance(caught.value, ValueError)
    assert minigrad.get_rng_state() == before


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: minigrad.randint(0, 2.5, (2,)), "randint: expected whole numbers as bounds, got 0 and 2.5"),
        (lambda: minigrad.empty(2).random_(0.5, 3), "random_: expected whole numbers"),
        (lambda: minigrad.randperm(2.5), "n must be a whole number, got 2.5"),
        (lambda: minigrad.empty(2).uniform_(low=3), "uniform_: there is no argument low"),
        (lambda: minigrad.empty(2).random_(upto=3), "random_: there is no argument upto"),
        (lambda: minigrad.bernoulli(minigrad.tensor([1, 0])), "bernoulli: expected a floating dtype"),
        (lambda: minigrad.multinomial(minigrad.tensor([1, 2]), 1), "multinomial: expected a floating dtype"),
        (lambda: empty("int32", 2).uniform_(), "uniform_: expected a floating dtype, got minigrad.int32"),
        (lambda: empty("int32", 2).normal_(), "normal_: expected a floating dtype"),
        (lambda: empty("int32", 2).exponential_(), "exponential_: expected a floating dtype"),
    ],
)
def test_arguments_of_another_type(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        draw()
