"""Samplers: what they give, how often, and that they repeat."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)


def seeded(seed):
    return minigrad.Generator().manual_seed(seed)


def test_sequential():
    s = SequentialSampler("abcd")
    assert list(s) == [0, 1, 2, 3]
    assert len(s) == 4
    assert all(type(i) is int for i in s)


def test_random_is_a_permutation_that_repeats():
    first = list(RandomSampler(range(100), generator=seeded(3)))
    assert sorted(first) == list(range(100))
    assert first != list(range(100))
    assert list(RandomSampler(range(100), generator=seeded(3))) == first
    assert list(RandomSampler(range(100), generator=seeded(4))) != first
    assert all(type(i) is int for i in first)


def test_random_goes_on_with_its_generator():
    s = RandomSampler(range(50), generator=seeded(3))
    assert list(s) != list(s)


def test_random_uses_one_draw_of_the_default_generator():
    def after(n):
        minigrad.manual_seed(11)
        list(RandomSampler(range(n)))
        return minigrad.rand(3).tolist()

    assert after(10) == after(10_000)
    minigrad.manual_seed(11)
    first = list(RandomSampler(range(30)))
    minigrad.manual_seed(11)
    assert list(RandomSampler(range(30))) == first


def test_random_with_replacement():
    s = RandomSampler(range(5), replacement=True, num_samples=1000, generator=seeded(0))
    counts = np.bincount(list(s), minlength=5)
    assert len(s) == 1000
    assert counts.sum() == 1000
    assert counts.min() > 140  # 200 expected, standard deviation 12.6


@given(n=st.integers(1, 20), count=st.integers(1, 70))
@settings(deadline=None, max_examples=30)
def test_random_beyond_the_data_begins_new_permutations(n, count):
    order = list(RandomSampler(range(n), num_samples=count, generator=seeded(1)))
    assert len(order) == count
    for i in range(0, count - n + 1, n):
        assert sorted(order[i : i + n]) == list(range(n))
    rest = order[count - count % n :]
    assert len(set(rest)) == len(rest)


def test_random_of_nothing():
    assert list(RandomSampler([])) == []
    with pytest.raises(ValueError, match="dataset is empty"):
        iter(RandomSampler([], num_samples=3))


def test_subset_random():
    s = SubsetRandomSampler([7, 3, 9], generator=seeded(0))
    assert sorted(s) == [3, 7, 9]
    assert len(s) == 3
    assert {tuple(s) for _ in range(40)} > {(7, 3, 9), (3, 7, 9)}


def test_weighted_follows_its_weights():
    s = WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=seeded(0))
    counts = np.bincount(list(s), minlength=3)
    assert counts[0] == 0
    assert abs(counts[1] - 1000) < 150
    assert len(s) == 4000
    s = WeightedRandomSampler(minigrad.tensor([1.0, 0.0, 2.0, 1.0]), 3, replacement=False, generator=seeded(0))
    assert sorted(s) == [0, 2, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedRandomSampler([1.0, -1.0], 2), "at least 0"),
        (lambda: WeightedRandomSampler([0.0, 0.0], 2), "sum above 0"),
        (lambda: WeightedRandomSampler([1.0, float("nan")], 2), "finite"),
        (lambda: WeightedRandomSampler([[1.0]], 2), r"shape \(1, 1\)"),
        (lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False), "only 1 weights"),
        (lambda: WeightedRandomSampler([1.0], 0), "num_samples = 0"),
        (lambda: RandomSampler(range(3), num_samples=-1), "num_samples = -1"),
        (lambda: BatchSampler(range(3), 0, False), "batch_size = 0"),
        (lambda: BatchSampler(range(3), True, False), "batch_size = True"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_flags_must_be_bools():
    with pytest.raises(TypeError, match="drop_last = 1"):
        BatchSampler(range(3), 2, 1)
    with pytest.raises(TypeError, match="replacement = 0"):
        RandomSampler(range(3), replacement=0)


@given(n=st.integers(0, 40), size=st.integers(1, 9), drop=st.booleans())
@settings(deadline=None, max_examples=40)
def test_batches_are_pytorchs(n, size, drop):
    torch_data = pytest.importorskip("torch.utils.data")
    ours = BatchSampler(SequentialSampler(range(n)), size, drop)
    theirs = torch_data.BatchSampler(torch_data.SequentialSampler(range(n)), size, drop)
    assert list(ours) == list(theirs)
    assert len(ours) == len(theirs)


def test_batches_of_any_iterable():
    assert list(BatchSampler(iter([5, 6, 7]), 2, False)) == [[5, 6], [7]]


def test_the_order_is_drawn_when_iteration_begins():
    """What resuming relies on: iter() draws, taking the batches does not."""
    generator = seeded(0)
    batches = iter(BatchSampler(RandomSampler(range(10), generator=generator), 3, False))
    state = generator.get_state()
    list(batches)
    assert generator.get_state() == state


def test_a_sampler_must_iterate():
    with pytest.raises(NotImplementedError, match="Sampler must define __iter__"):
        iter(Sampler())


@pytest.mark.parametrize(
    "indices",
    [
        [4, 2, 9],
        (4, 2, 9),
        range(4, 10, 2),
        np.array([4, 2, 9]),
        np.array([4, 2, 9], np.uint8),
        minigrad.tensor([4, 2, 9]),
        [np.int32(4), np.int64(2), 9],
        [minigrad.tensor(4), minigrad.tensor(2)],
        ["a", "bc", "d"],
        [(1, 2), (3, 4)],
        [(1, 2), (3, 4, 5)],
        [True, False],
        [],
    ],
    ids=repr,
)
def test_a_subset_can_be_any_sequence(indices):
    sampler = SubsetRandomSampler(indices, generator=minigrad.Generator().manual_seed(0))
    given = indices.tolist() if hasattr(indices, "tolist") else [getattr(i, "item", lambda i=i: i)() for i in indices]
    assert len(sampler) == len(given)
    drawn = [getattr(i, "item", lambda i=i: i)() for i in sampler]
    assert sorted(map(repr, drawn)) == sorted(map(repr, given))
    if given and isinstance(given[0], int):
        data = TensorDataset(minigrad.arange(10) * 10)
        (batch,) = DataLoader(data, len(given), sampler=SubsetRandomSampler(indices))
        assert sorted(batch[0].tolist()) == sorted(10 * int(i) for i in given)


@pytest.mark.parametrize("indices", [{1, 2}, {1: 2}, iter([1]), 3])
def test_a_subset_of_what_has_no_order_is_refused(indices):
    with pytest.raises(TypeError, match=f"indices is a {type(indices).__name__}; expected a sequence"):
        SubsetRandomSampler(indices)
