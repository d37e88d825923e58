"""Datasets: indexing, joining, cutting."""

import numpy as np
import pytest

import minigrad
from minigrad.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i * i


def test_tensor_dataset_gives_slices():
    x, y = minigrad.arange(12).reshape(4, 3), minigrad.arange(4)
    data = TensorDataset(x, y)
    assert len(data) == 4
    a, b = data[2]
    assert a.tolist() == [6, 7, 8]
    assert b.item() == 2
    a, b = data[-1]
    assert b.item() == 3
    a, _ = data[1:3]
    assert a.shape == (2, 3)


def test_tensor_dataset_refuses_bad_arguments():
    x = minigrad.zeros(4, 3)
    with pytest.raises(ValueError, match=r"\[4, 5\]"):
        TensorDataset(x, minigrad.zeros(5))
    with pytest.raises(TypeError, match="argument 1 is a ndarray"):
        TensorDataset(x, np.zeros(4))
    with pytest.raises(ValueError, match="argument 0 has no axes"):
        TensorDataset(minigrad.tensor(1.0))
    with pytest.raises(ValueError, match="no tensor"):
        TensorDataset()


def test_missing_methods_are_named():
    class Empty(Dataset):
        pass

    class Stream(IterableDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define __getitem__"):
        Empty()[0]
    with pytest.raises(NotImplementedError, match=r"Stream must define __iter__"):
        iter(Stream())
    with pytest.raises(NotImplementedError, match="no indices"):
        Stream()[0]
    with pytest.raises(NotImplementedError, match="chain"):
        Stream() + Stream()


def test_concat_joins_and_counts_from_the_end():
    joined = Squares(3) + Squares(2)
    assert isinstance(joined, ConcatDataset)
    assert len(joined) == 5
    assert [joined[i] for i in range(5)] == [0, 1, 4, 0, 1]
    assert [joined[i] for i in (-1, -3, -5)] == [1, 4, 0]
    for outside in (5, -6):
        with pytest.raises(IndexError, match=f"index {outside} is out of range for 5"):
            joined[outside]


def test_concat_skips_empty_parts_and_refuses_nothing():
    joined = ConcatDataset([Squares(0), Squares(2), Squares(0), Squares(1)])
    assert [joined[i] for i in range(3)] == [0, 1, 0]
    with pytest.raises(ValueError, match="empty"):
        ConcatDataset([])


def test_concat_refuses_streams():
    class Stream(IterableDataset):
        def __iter__(self):
            yield 1

    with pytest.raises(TypeError, match=r"datasets\[1\] is an IterableDataset"):
        ConcatDataset([Squares(2), Stream()])


def test_subset_indexes_through():
    part = Subset(Subset(Squares(10), [9, 5, 3]), [2, 0])
    assert len(part) == 2
    assert [part[0], part[1]] == [9, 81]
    assert part.__getitems__([1, 0]) == [81, 9]


@pytest.mark.parametrize(
    "lengths",
    [[3, 7], [0.5, 0.5], [0.3, 0.3, 0.4], [1 / 3, 1 / 3, 1 / 3], [0.9, 0.1], [10], [4, 0, 6]],
)
def test_random_split_sizes_are_pytorchs(lengths):
    torch_data = pytest.importorskip("torch.utils.data")
    theirs = torch_data.random_split(range(10), lengths)
    ours = random_split(Squares(10), lengths)
    assert [len(p) for p in ours] == [len(p) for p in theirs]
    assert sorted(i for p in ours for i in p.indices) == list(range(10))
    assert all(type(i) is int for p in ours for i in p.indices)


def test_random_split_repeats_with_its_generator():
    def cut(seed):
        return [p.indices for p in random_split(Squares(50), [20, 30], minigrad.Generator().manual_seed(seed))]

    assert cut(1) == cut(1) != cut(2)
    minigrad.manual_seed(5)
    first = random_split(Squares(50), [0.5, 0.5])[0].indices
    minigrad.manual_seed(5)
    assert random_split(Squares(50), [0.5, 0.5])[0].indices == first


@pytest.mark.parametrize("lengths", [[3, 8], [0.5, 0.6], [0.2, 0.2], [-1, 11], [2.5, 7.5]])
def test_random_split_refuses_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match=r"random_split: length"):
        random_split(Squares(10), lengths)


def test_random_split_warns_of_an_empty_part():
    with pytest.warns(UserWarning, match="part 2 is empty"):
        parts = random_split(Squares(2), [0.4, 0.3, 0.3])
    assert [len(p) for p in parts] == [1, 1, 0]


def test_unknown_names_are_told():
    from minigrad.utils import data

    with pytest.raises(AttributeError, match="no 'ChainDataset'"):
        getattr(data, "ChainDataset")  # noqa: B009
