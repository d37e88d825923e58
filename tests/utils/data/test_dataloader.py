"""The DataLoader in one process: batches, lengths, order, the fast path, arguments that clash."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)


class Numbers(Dataset):
    """Sample i is (i, [i, i²])."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return i, np.array([i, i * i], dtype=np.float32)


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def tensors(n=10):
    return TensorDataset(minigrad.arange(n * 6, dtype=minigrad.float32).reshape(n, 2, 3), minigrad.arange(n))


def flat(loader):
    return [batch[-1].tolist() if isinstance(batch, list) else batch.tolist() for batch in loader]


@given(n=st.integers(0, 23), size=st.integers(1, 8), drop=st.booleans())
@settings(deadline=None, max_examples=40)
def test_batches_and_length_are_pytorchs(n, size, drop):
    torch = pytest.importorskip("torch")
    ours, theirs = (
        cls(Numbers(n), batch_size=size, drop_last=drop) for cls in (DataLoader, torch.utils.data.DataLoader)
    )
    assert len(ours) == len(theirs)
    mine, other = list(ours), list(theirs)
    assert len(mine) == len(other) == len(ours)
    for a, b in zip(mine, other, strict=True):
        assert type(a) is type(b) is list
        assert a[0].tolist() == b[0].tolist()
        assert a[1].tolist() == b[1].tolist()


def test_shuffle_visits_all_in_another_order_each_epoch():
    loader = DataLoader(Numbers(40), batch_size=7, shuffle=True, generator=minigrad.Generator().manual_seed(1))
    first, second = ([i for b in loader for i in b[0].tolist()] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second


@pytest.mark.parametrize("own", [True, False])
def test_the_order_repeats_with_the_seed(own):
    def run(data):
        generator = minigrad.Generator().manual_seed(9) if own else None
        minigrad.manual_seed(9)
        loader = DataLoader(data, batch_size=4, shuffle=True, generator=generator)
        return [flat(loader), flat(loader)]

    first, second = run(tensors())
    assert [first, second] == run(tensors())
    assert first != second


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 3},
        {"batch_size": 4, "drop_last": True},
        {"batch_size": 20},
        {"batch_size": 4, "shuffle": True},
        {"batch_size": 4, "shuffle": True, "drop_last": True},
        {
            "batch_size": 3,
            "sampler": SubsetRandomSampler([1, 5, 6, 9, 2], minigrad.Generator().manual_seed(1)),
        },
        {"batch_size": 3, "sampler": [4, -1, 2, 2]},
        {"batch_sampler": [[0, 3], [9], (1, 2, 4)]},
        {"batch_sampler": BatchSampler(SequentialSampler(range(7)), 3, False)},
    ],
)
@pytest.mark.parametrize("nested", [0, 1, 2])
def test_the_fast_path_gives_what_the_slow_path_gives(options, nested):
    data = tensors()
    if nested:
        data = Subset(data, [8, 0, 3, -1, 5, 5, 2, 1, 7, 6])
    if nested == 2:
        data = Subset(data, np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]))

    class Opaque(Dataset):  # hides what the dataset is
        def __getitem__(self, i):
            return data[i]

        def __len__(self):
            return len(data)

    def run(dataset):
        minigrad.manual_seed(2)
        for sampler in options.values():
            if isinstance(sampler, SubsetRandomSampler):
                sampler.generator.manual_seed(1)
        return list(DataLoader(dataset, **options))

    fast, slow = run(data), run(Opaque())
    assert len(fast) == len(slow) > 0
    for a, b in zip(fast, slow, strict=True):
        assert type(a) is type(b) is list
        for p, q in zip(a, b, strict=True):
            assert p.dtype == q.dtype
            assert p.shape == q.shape
            np.testing.assert_array_equal(p.numpy(), q.numpy())
            assert p.is_contiguous()


def test_the_fast_path_is_taken():
    from minigrad.utils.data.collate import default_collate
    from minigrad.utils.data.fetch import TensorFetcher, tensor_fetcher

    data = tensors()
    assert isinstance(tensor_fetcher(data, default_collate), TensorFetcher)
    assert isinstance(tensor_fetcher(Subset(Subset(data, [1, 2]), [0]), default_collate), TensorFetcher)


def test_the_fast_path_stands_back():
    """Where indexing means something else, or a graph must go on, samples are taken one by one."""
    from minigrad.utils.data.collate import default_collate
    from minigrad.utils.data.fetch import tensor_fetcher

    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * t for t in super().__getitem__(i))

    class Backwards(Subset):
        def __getitem__(self, i):
            return super().__getitem__(len(self) - 1 - i)

    x = minigrad.ones(3, 2, requires_grad=True)
    for data in (Doubled(minigrad.ones(3)), Backwards(tensors(), [1, 2]), TensorDataset(x), Numbers(3)):
        assert tensor_fetcher(data, default_collate) is None
    assert tensor_fetcher(tensors(), lambda samples: samples) is None
    with minigrad.no_grad():
        assert tensor_fetcher(TensorDataset(x), default_collate) is not None
    (batch,) = next(iter(DataLoader(TensorDataset(x), batch_size=2)))
    batch.backward(minigrad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert x.grad.tolist() == [[1, 2], [3, 4], [0, 0]]


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_may_be_changed_in_place(shuffle):
    data = tensors()
    before = data.tensors[0].numpy().copy()
    for x, _ in DataLoader(data, batch_size=5, shuffle=shuffle):
        x.mul_(0)
    np.testing.assert_array_equal(data.tensors[0].numpy(), before)


def test_an_index_outside_is_an_error_on_both_paths():
    for data in (
        tensors(),
        Subset(tensors(), range(10)),
        Subset(Subset(tensors(), [0, 99]), [0, 1]),
        Numbers(10),
    ):
        with pytest.raises(IndexError):
            list(DataLoader(data, batch_size=2, sampler=[0, 1, 10]))


def test_without_batches():
    torch = pytest.importorskip("torch")
    ours, theirs = (cls(Numbers(3), batch_size=None) for cls in (DataLoader, torch.utils.data.DataLoader))
    assert len(ours) == len(theirs) == 3
    for a, b in zip(ours, theirs, strict=True):
        assert type(a) is type(b)
        assert a[0] == b[0]
        assert a[1].tolist() == b[1].tolist()
    whole = DataLoader(tensors(), batch_size=None, sampler=BatchSampler(SequentialSampler(range(10)), 4, False))
    assert [b[1].tolist() for b in whole] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_dataset_may_give_whole_batches():
    class Asked(Numbers):
        asked = ()

        def __getitems__(self, indices):
            self.asked += (tuple(indices),)
            return [self[i] for i in indices]

    data = Asked(5)
    assert flat(DataLoader(data, batch_size=2))[-1] == [[4, 16]]
    assert data.asked == ((0, 1), (2, 3), (4,))


def test_own_collate_function():
    loader = DataLoader(Numbers(5), batch_size=2, collate_fn=lambda samples: sum(i for i, _ in samples))
    assert list(loader) == [1, 5, 4]


@pytest.mark.parametrize(("size", "drop"), [(1, False), (3, False), (3, True), (10, True), (None, False)])
def test_streams_are_pytorchs(size, drop):
    torch = pytest.importorskip("torch")

    class TorchStream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(7))

    def plain(batch):
        return batch.tolist() if hasattr(batch, "tolist") else batch

    ours = DataLoader(Stream(7), batch_size=size, drop_last=drop)
    theirs = torch.utils.data.DataLoader(TorchStream(), batch_size=size, drop_last=drop)
    assert [plain(b) for b in ours] == [plain(b) for b in theirs]
    assert [plain(b) for b in ours] == [plain(b) for b in theirs]  # and a second time
    with pytest.raises(TypeError):
        len(ours)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stream_that_would_begin_again_is_not_asked_to(workers):
    class Again:
        left = 3

        def __next__(self):
            self.left -= 1
            if self.left % 4 == 3:
                raise StopIteration
            return self.left

        def __iter__(self):
            return self

    class Odd(IterableDataset):
        def __iter__(self):
            return Again()

    assert [b.tolist() for b in DataLoader(Odd(), batch_size=2, num_workers=workers)] == [[2, 1], [0]]


def test_stop_iteration_inside_a_dataset_does_not_end_the_epoch():
    class Bad(Numbers):
        def __getitem__(self, i):
            if i == 2:
                raise StopIteration
            return i

    with pytest.raises(RuntimeError, match="raised StopIteration at dataset index 2"):
        list(DataLoader(Bad(4)))


def test_several_iterators_at_once():
    loader = DataLoader(Numbers(6), batch_size=2)
    assert [(a[0].tolist(), b[0].tolist()) for a in loader for b in loader] == [
        (a, b) for a in ([0, 1], [2, 3], [4, 5]) for b in ([0, 1], [2, 3], [4, 5])
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size = 0"),
        ({"batch_size": 2.0}, "batch_size = 2.0"),
        ({"num_workers": -1}, "num_workers = -1"),
        ({"timeout": -1}, "timeout = -1"),
        ({"prefetch_factor": 2}, "prefetch_factor = 2 needs num_workers"),
        ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor = 0"),
        ({"persistent_workers": True}, "persistent_workers=True needs"),
        ({"multiprocessing_context": "fork"}, "multiprocessing_context needs"),
        ({"num_workers": 1, "multiprocessing_context": "thread"}, "this system offers"),
        ({"shuffle": True, "sampler": [1]}, "sampler and shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler excludes"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler excludes"),
        ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler excludes"),
        ({"batch_size": None, "drop_last": True}, "drop_last=True needs a batch_size"),
    ],
)
def test_arguments_that_clash_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Numbers(4), **options)


def test_streams_take_no_order():
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} = .* IterableDataset"):
            DataLoader(Stream(3), **options)
    assert len(list(DataLoader(Stream(3), shuffle=False))) == 3


def test_what_is_missing_is_named():
    with pytest.raises(NotImplementedError, match="in_order=False"):
        DataLoader(Numbers(3), in_order=False)
    with pytest.raises(TypeError, match="no __len__"):
        DataLoader(object())
    with pytest.raises(TypeError, match="context is a int"):
        DataLoader(Numbers(3), num_workers=1, multiprocessing_context=3)


def test_what_is_fixed_stays_fixed():
    loader = DataLoader(Numbers(4), batch_size=2)
    with pytest.raises(ValueError, match="batch_size cannot be changed"):
        loader.batch_size = 3
    assert loader.batch_size == 2
    assert isinstance(loader.sampler, SequentialSampler)
    assert loader.pin_memory is False
    assert isinstance(DataLoader(Numbers(4), shuffle=True).sampler, RandomSampler)
