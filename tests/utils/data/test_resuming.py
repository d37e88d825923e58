"""state_dict and load_state_dict: the batches that remain, exactly, and the epochs after."""

from __future__ import annotations

import json

import numpy as np
import pytest
from loader_support import Numbers, seeded

import minigrad
from minigrad.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)


class Noisy(Dataset):
    """Sample i is i plus a random fraction."""

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return i + minigrad.rand(1).item()


class Plain(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, i):
        return i


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(20))


def lists(batches):
    return [b[0].tolist() if isinstance(b, list) else b.tolist() for b in batches]


def loaders(workers):
    """Functions that make loaders, each with its own generator seeded with the given number."""
    w = {"num_workers": workers}
    tensors = TensorDataset(minigrad.arange(20))
    return {
        "fast": lambda s: DataLoader(tensors, 3, shuffle=True, generator=seeded(s), **w),
        "sequential": lambda s: DataLoader(tensors, 3, generator=seeded(s), **w),
        "slow": lambda s: DataLoader(Plain(), 3, shuffle=True, drop_last=True, generator=seeded(s), **w),
        "samples": lambda s: DataLoader(
            Plain(), None, shuffle=True, generator=seeded(s), collate_fn=minigrad.tensor, **w
        ),
        "sampler": lambda s: DataLoader(
            Plain(),
            3,
            sampler=WeightedRandomSampler(np.ones(20), 20, generator=seeded(s)),
            generator=seeded(s + 1),
            **w,
        ),
        "stream": lambda s: DataLoader(Stream(), 3, generator=seeded(s), **w),
    }


KINDS = list(loaders(0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seen", [0, 1, 4])
def test_the_rest_of_the_epoch_and_the_next_are_the_same(kind, seen):
    make = loaders(0)[kind]
    loader = make(3)
    list(loader)  # an epoch before
    batches = iter(loader)
    for _ in range(seen):
        next(batches)
    state = json.loads(json.dumps(loader.state_dict()))
    rest, after = lists(batches), lists(loader)
    assert lists(loader) != after or kind in ("sequential", "stream")

    other = make(77)
    other.load_state_dict(state)
    assert lists(other) == rest
    assert lists(other) == after


@pytest.mark.parametrize("kind", ["fast", "slow", "stream"])
def test_resuming_with_workers(kind):
    loader = loaders(2)[kind](3)
    batches = iter(loader)
    for _ in range(3):
        next(batches)  # more are under way, but only what was handed out counts
    state = loader.state_dict()
    rest, after = lists(batches), lists(loader)
    for workers in (2,) if kind == "stream" else (0, 2):
        other = loaders(workers)[kind](77)
        other.load_state_dict(state)
        assert lists(other) == rest
        assert lists(other) == after


def test_random_transforms_in_workers_resume_exactly():
    def make():
        return DataLoader(Noisy(), 3, shuffle=True, num_workers=2, generator=seeded(5))

    loader = make()
    batches = iter(loader)
    next(batches), next(batches)
    state = loader.state_dict()
    rest = lists(batches)
    other = make()
    other.load_state_dict(state)
    assert lists(other) == rest


def test_at_the_last_batch_nothing_remains():
    loader = loaders(0)["fast"](3)
    batches = iter(loader)
    for _ in range(len(loader)):
        next(batches)
    state = loader.state_dict()
    assert state["batches"] == 7
    after = lists(loader)
    other = loaders(0)["fast"](0)
    other.load_state_dict(state)
    assert lists(other) == []
    assert lists(other) == after


def test_after_an_epoch_the_next_is_whole():
    loader = loaders(0)["fast"](3)
    list(loader)
    state = loader.state_dict()
    assert state["batches"] == 0
    after = lists(loader)
    other = loaders(0)["fast"](0)
    other.load_state_dict(state)
    assert lists(other) == after
    assert len(after) == 7


def test_resuming_twice():
    """A resumed epoch can be interrupted and resumed again."""
    make = loaders(0)["slow"]
    whole = lists(make(3))
    loader, taken = make(3), []
    for count in (2, 1, 2):
        batches = iter(loader)
        taken += lists(next(batches) for _ in range(count))
        state = loader.state_dict()
        loader = make(0)
        loader.load_state_dict(state)
        assert loader.state_dict() == state  # not begun yet: still the same place
    assert taken + lists(loader) == whole


def test_the_default_generator_is_left_alone():
    minigrad.manual_seed(4)
    loader = DataLoader(Plain(), 3, shuffle=True)
    batches = iter(loader)
    next(batches), next(batches)
    minigrad.rand(5)  # the training draws as well
    state, random_state = loader.state_dict(), minigrad.get_rng_state()
    rest = lists(batches)
    drawn, after = minigrad.rand(3).tolist(), lists(loader)

    minigrad.manual_seed(99)
    other = DataLoader(Plain(), 3, shuffle=True)
    other.load_state_dict(state)
    minigrad.set_rng_state(random_state)
    assert lists(other) == rest
    assert minigrad.rand(3).tolist() == drawn
    assert lists(other) == after


def test_a_sampler_that_draws_late():
    class Late(RandomSampler):
        def __iter__(self):
            yield from super().__iter__()

    def make():
        generator = seeded(8)
        return DataLoader(Plain(), 4, sampler=Late(range(20), generator=generator))

    loader = make()
    batches = iter(loader)
    next(batches)
    state = loader.state_dict()
    rest = lists(batches)
    other = make()
    other.load_state_dict(state)
    assert lists(other) == rest


def test_states_of_other_loaders_are_refused():
    state = DataLoader(Plain(), 3, generator=seeded(0)).state_dict()
    with pytest.raises(ValueError, match="with 7 batches in an epoch, this one has 5"):
        DataLoader(Plain(), 4, generator=seeded(0)).load_state_dict(state)
    with pytest.raises(ValueError, match="with 1 generators of its own, this one has 0"):
        DataLoader(Plain(), 3).load_state_dict(state)
    with pytest.raises(ValueError, match="not a state of a DataLoader"):
        DataLoader(Plain(), 3).load_state_dict({"batches": 1})


def test_a_state_between_epochs_needs_no_marks():
    loader = DataLoader(Numbers(), 4, shuffle=True, generator=seeded(0))
    state = {key: loader.state_dict()[key] for key in ("batches", "epoch_start", "generators", "length")}
    other = DataLoader(Numbers(), 4, shuffle=True, generator=seeded(1))
    other.load_state_dict(state)
    assert lists(other) == lists(loader)
