"""Random numbers: distributions, seeds that repeat, states that travel."""

from __future__ import annotations

import json

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
    assert 0.0 <= u.min().item() < u.max().item() <= 1.0
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
    assert minigrad.randint(10, size=(3,)).shape == (3,)
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
    with pytest.raises(ValueError, match="weights"):
        minigrad.multinomial(minigrad.tensor([-1.0, 2.0]), 1)
    with pytest.raises(TypeError, match="give size"):
        minigrad.normal(0.0, 1.0)
