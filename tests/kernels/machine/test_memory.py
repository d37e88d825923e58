"""Memory that large results share from step to step."""

import gc

import numpy as np
import pytest

from minigrad.kernels import memory


@pytest.fixture(autouse=True)
def clean():
    gc.collect()
    memory.release()
    yield
    gc.collect()
    memory.release()


def address(array):
    return array.__array_interface__["data"][0]


def test_an_array_is_ordinary_writable_aligned_memory():
    x = memory.empty((3, 1 << 19))
    assert x.__class__ is np.ndarray
    assert x.dtype == np.float32
    assert x.shape == (3, 1 << 19)
    assert x.flags.c_contiguous
    assert x.flags.writeable
    assert address(x) % 64 == 0
    x[:] = 2
    assert x.sum() == 3 << 20
    assert memory.empty((0, 5)).shape == (0, 5)
    assert memory.empty(()).shape == ()


def test_memory_comes_back_only_when_the_array_and_all_its_views_are_gone():
    x = memory.empty((1 << 20,))
    place, view = address(x), x.reshape(1 << 10, 1 << 10)[5:7]
    view[:] = 7
    del x
    assert address(memory.empty((1 << 20,))) != place
    assert (view == 7).all()
    del view
    assert place in {address(a) for a in [memory.empty((1 << 20,)), memory.empty((1 << 20,))]}


def test_two_arrays_in_use_never_share_memory():
    arrays = [memory.empty((1 << 19,)) for _ in range(20)]
    for i, a in enumerate(arrays):
        a.fill(i)
    assert all((a == i).all() for i, a in enumerate(arrays))


def test_blocks_of_sizes_no_longer_asked_for_are_given_back():
    for i in range(40):  # a loop whose sizes never repeat must not pile up memory
        memory.empty(((1 << 20) + 1024 * i,))
    assert memory.release() < 3 * (4 << 20)


def test_release_returns_what_waits():
    x = memory.empty((1 << 20,))
    assert memory.release() == 0
    del x
    assert memory.release() == 4 << 20
    assert memory.release() == 0
