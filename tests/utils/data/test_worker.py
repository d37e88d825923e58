"""The DataLoader's worker processes: order, transport, seeds, streams, threads."""

import sys
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import minigrad
from minigrad.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    get_worker_info,
    transport,
)

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="forks its workers")


class Numbers(Dataset):
    def __init__(self, n=20, shape=(2,)):
        self.n = n
        self.shape = shape

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, np.full(self.shape, i, dtype=np.float32)


class Calls(Dataset):
    """Sample i is f(i)."""

    def __init__(self, f, n=12):
        self.f = f
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return self.f(i)


class Stream(IterableDataset):
    """0 … n − 1, each worker its share."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(0, self.n) if info is None else range(info.id, self.n, info.num_workers))


def firsts(loader):
    return [batch[0].tolist() for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"shuffle": True}, {"drop_last": True}, {"prefetch_factor": 1}])
def test_the_same_batches_as_without_workers(workers, options):
    def run(num_workers, **more):
        generator = minigrad.Generator().manual_seed(3)
        loader = DataLoader(Numbers(), batch_size=3, num_workers=num_workers, generator=generator, **more)
        return [[a.tolist(), b.tolist()] for _ in range(2) for a, b in loader]

    alone = run(0, **{k: v for k, v in options.items() if k != "prefetch_factor"})
    assert run(workers, **options) == alone


def test_order_is_kept_when_workers_differ_in_speed():
    slow_evens = Calls(lambda i: (time.sleep(0.02 * (i % 2 == 0)), i)[1])
    assert [b.item() for b in DataLoader(slow_evens, num_workers=2)] == list(range(12))


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.skipif(sys.platform == "win32", reason="the methods of POSIX systems")
def test_start_methods(context):
    loader = DataLoader(Numbers(6, (600,)), batch_size=2, num_workers=1, multiprocessing_context=context)
    assert firsts(loader) == [[0, 1], [2, 3], [4, 5]]
    data = TensorDataset(minigrad.arange(4000.0).reshape(4, 1000), minigrad.arange(4))
    (batch,) = DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context=context)
    assert [t.tolist() for t in batch] == [t.tolist() for t in data.tensors]
    if context != "fork":
        with pytest.raises(RuntimeError, match=r"could not be started by .*no lambda"):
            iter(DataLoader(Calls(lambda i: i), num_workers=1, multiprocessing_context=context))


@pytest.mark.parametrize("share", [True, False])
def test_large_and_odd_batches_travel_whole(share, monkeypatch):
    """With and without shared memory: large arrays, text, nothing, tensors within containers."""
    monkeypatch.setattr(transport, "can_share", lambda: share)
    monkeypatch.setattr("minigrad.utils.data.pool.can_share", lambda: share)

    def sample(i):
        return {
            "big": np.full((300, 1000), i, dtype=np.float64),
            "turned": minigrad.arange(6 * 2000).reshape(6, 2000).T,
            "half": np.float16(i),
            "text": "é" * i,
            "none": None,
            "empty": np.zeros((0, 3), dtype=np.int8),
            "list": [i] * (i * 5000),
        }

    loader = DataLoader(Calls(sample, 5), batch_size=None, num_workers=2)
    for i, got in enumerate(loader):
        expected = sample(i)
        assert got["big"].dtype == minigrad.float64
        assert (got["big"].numpy() == i).all()
        assert got["big"].shape == (300, 1000)
        np.testing.assert_array_equal(got["turned"].numpy(), expected["turned"].numpy())
        assert got["half"].dtype == minigrad.float16
        assert got["half"].item() == i
        assert got["text"] == expected["text"]
        assert got["none"] is None
        assert got["list"] == expected["list"]
        assert got["empty"].shape == (0, 3)
        assert got["empty"].dtype == minigrad.int8
        got["big"].add_(1)  # the memory is our own


def test_huge_tasks_and_batches_do_not_wait_for_each_other():
    """Tasks and batches beyond any pipe's buffer, both ways at once."""
    data = TensorDataset(minigrad.arange(200_000))
    loader = DataLoader(data, batch_size=100_000, shuffle=True, num_workers=2, prefetch_factor=4, timeout=20)
    for _ in range(2):
        assert sorted(i for (x,) in loader for i in x.tolist()) == list(range(200_000))


def test_batches_may_be_kept():
    """More batches alive than a process may have open files would need, were each to hold one."""
    kept = list(DataLoader(Numbers(1500, (1500,)), num_workers=2))
    assert all(float(x[0, 0]) == i == int(n) for i, (n, x) in enumerate(kept))


def test_parameters_keep_requires_grad_and_graphs_are_refused():
    def leaf(i):
        return minigrad.ones(2).requires_grad_()

    (batch,) = list(DataLoader(Calls(leaf, 1), batch_size=None, num_workers=1))
    assert batch.requires_grad
    assert batch.is_leaf
    with pytest.raises(RuntimeError, match=r"requires a gradient.*detach\(\)"):
        list(DataLoader(Calls(lambda i: leaf(i) * 2, 1), batch_size=None, num_workers=1))


# --- randomness


def drawn(i):
    return minigrad.rand(1).item(), np.random.rand(), __import__("random").random()


def test_random_samples_repeat_with_the_seed_for_any_number_of_workers():
    def run(seed, workers, **options):
        generator = minigrad.Generator().manual_seed(seed)
        loader = DataLoader(Calls(drawn), batch_size=2, num_workers=workers, generator=generator, **options)
        return [[column.tolist() for column in batch] for _ in range(2) for batch in loader]

    first = run(1, 1)
    assert first == run(1, 1) == run(1, 2) == run(1, 3) == run(1, 2, persistent_workers=True)
    assert first != run(2, 1)
    values = [v for batch in first for column in batch for v in column]
    assert len(set(values)) == len(values) == 2 * 12 * 3  # nothing repeats within or between epochs


def test_the_default_generator_seeds_the_workers():
    def run():
        minigrad.manual_seed(6)
        return [b[0].tolist() for b in DataLoader(Calls(drawn), num_workers=2)]

    assert run() == run()


def test_the_loaders_own_random_numbers_are_untouched():
    def after(workers):
        minigrad.manual_seed(6)
        list(DataLoader(Calls(drawn) if workers else Numbers(), num_workers=workers))
        return minigrad.rand(2).tolist()

    assert after(0) == after(2)


def test_worker_info_and_init():
    def sample(i):
        info = get_worker_info()
        return (
            info.id,
            info.num_workers,
            info.seed,
            minigrad.initial_seed(),
            info.dataset.n,
            info.dataset.mark,
        )

    def init(worker):
        get_worker_info().dataset.mark = 100 + worker

    assert get_worker_info() is None
    loader = DataLoader(Calls(sample, 4), batch_size=None, num_workers=2, worker_init_fn=init)
    rows = list(loader)
    assert [r[0] for r in rows] == [0, 1, 0, 1]
    assert {r[1] for r in rows} == {2}
    assert {r[4] for r in rows} == {4}
    assert [r[5] for r in rows] == [100, 101, 100, 101]
    assert rows[1][2] == rows[0][2] + 1
    assert rows[0][2] == rows[0][3]


def test_an_init_function_takes_the_seeding_over():
    def run():
        loader = DataLoader(Calls(lambda i: np.random.rand(), 6), num_workers=2, worker_init_fn=np.random.seed)
        return [b.item() for b in loader]

    expected = [np.random.RandomState(worker).rand(3).tolist() for worker in (0, 1)]
    assert run() == [v for pair in zip(*expected, strict=True) for v in pair]


# --- streams and persistence


def test_streams_are_shared_out():
    assert firsts(DataLoader(Stream(10), batch_size=None, num_workers=0, collate_fn=lambda i: np.array([i]))) == list(
        range(10)
    )
    batches = [b.tolist() for b in DataLoader(Stream(10), batch_size=2, num_workers=2)]
    assert batches == [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
    uneven = [b.tolist() for b in DataLoader(Stream(5), batch_size=2, num_workers=3, drop_last=True)]
    assert uneven == [[0, 3], [1, 4]]


@pytest.mark.parametrize("data", [Numbers(), Stream(9)])
def test_persistent_workers_stay_and_start_anew(data):
    loader = DataLoader(data, batch_size=4, num_workers=2, persistent_workers=True)
    first = iter(loader)
    pids = [p.pid for p in first.workers]
    whole = [str(b) for b in first]
    assert [str(b) for b in loader] == whole
    assert len(whole) > 2
    abandoned = iter(loader)
    assert str(next(abandoned)) == whole[0]
    again = iter(loader)
    assert [p.pid for p in again.workers] == pids
    assert [str(b) for b in again] == whole
    with pytest.raises(RuntimeError, match="only one can run at a time"):
        next(abandoned)
    del loader, again, abandoned, first


def test_plain_workers_end_with_the_epoch():
    batches = iter(DataLoader(Numbers(), num_workers=2))
    processes = batches.workers
    assert all(p.is_alive() for p in processes)
    list(batches)
    assert not any(p.is_alive() for p in processes)
    with pytest.raises(StopIteration):
        next(batches)


def test_epochs_can_run_side_by_side():
    loader = DataLoader(Numbers(4), num_workers=2)
    assert [(a[0].item(), b[0].item()) for a in loader for b in loader] == [(a, b) for a in range(4) for b in range(4)]


# --- beside threads


@needs_fork
def test_forking_beside_thread_pools_and_held_locks():
    """The parent has used its thread pools, and a thread of it holds a lock, when the workers are forked."""
    a = minigrad.randn(256, 256)
    (a @ a).relu().exp().sum(0)
    held, release = threading.Event(), threading.Event()

    def hold():
        with np.random.get_bit_generator().lock:
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def product(i):
        return np.random.rand(), (minigrad.ones(64, 64) @ minigrad.ones(64, 64) * i).relu().sum().item()

    try:
        batches = list(DataLoader(Calls(product), num_workers=2, timeout=20))
    finally:
        release.set()
        thread.join()
    assert [b[1].item() for b in batches] == [64.0**3 * i for i in range(12)]


def test_kernels_are_off_in_workers():
    loader = DataLoader(Calls(lambda i: minigrad.kernels.enabled(), 1), batch_size=None, num_workers=1)
    assert list(loader) == [False]
    assert minigrad.kernels.enabled()


def test_gpu_tensors_are_refused(monkeypatch):
    data = TensorDataset(minigrad.arange(4))
    monkeypatch.setattr(minigrad.Tensor, "device", property(lambda t: minigrad.device("cuda", 0)))
    with pytest.raises(ValueError, match="tensor 0 of the TensorDataset is on cuda:0"):
        DataLoader(data, num_workers=1)


def threads_of_worker(i):
    return minigrad.get_num_threads(), max(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")


def test_a_worker_leaves_the_cores_to_the_training():
    assert list(DataLoader(Calls(threads_of_worker, 2), None, num_workers=1)) == [[1, 1]] * 2
