"""The double of CuPy is as strict as CuPy: what it let pass would prove nothing."""

from __future__ import annotations

from collections.abc import Iterator

import cuda_double
import numpy as np
import pytest
from cuda_double import cupy


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cuda_double.install(monkeypatch)
    yield
    cuda_double.uninstall()


@pytest.mark.usefixtures("_installed")
class TestDouble:
    @pytest.mark.filterwarnings("ignore:__array__ implementation")  # CuPy's has no argument "copy" either
    def test_it_never_becomes_a_numpy_array(self) -> None:
        x = cupy.asarray(np.arange(3.0))
        assert not isinstance(x, np.ndarray)
        for convert in (np.asarray, np.array, np.ascontiguousarray, lambda a: np.asarray([a, a])):
            with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
                convert(x)
        host = x.get()
        host += 1
        assert x.tolist() == [0.0, 1.0, 2.0]

    def test_it_does_not_mix_with_numpys_arrays(self) -> None:
        x, y = cupy.ones(3), np.ones(3)
        for mixed in (
            lambda: x + y,
            lambda: y + x,
            lambda: np.multiply(y, x),
            lambda: x > y,
            lambda: x.__iadd__(y),
            lambda: y.__iadd__(x),
            lambda: np.where(x > 0, x, y),
            lambda: np.where(y > 0, x, x),
            lambda: cupy.concatenate([x, y]),
            lambda: np.stack([x, y]),
            lambda: cupy.zeros(3).__setitem__(slice(None), y),
        ):
            with pytest.raises((TypeError, ValueError), match=r"Unsupported type|non-scalar"):
                mixed()
        assert (x * np.float32(2) + 1.0 - np.int64(3)).tolist() == [0.0, 0.0, 0.0]

    def test_reductions_and_elements_are_arrays(self) -> None:
        x = cupy.asarray(np.arange(6.0).reshape(2, 3))
        for y in (x.sum(), x.max(), x.all(), x[0, 1], np.sum(x), np.exp(x[0, 0]), x.argmax(), cupy.allclose(x, x)):
            assert type(y) is cupy.ndarray
            assert y.shape == ()

    def test_it_has_only_cupys_functions_and_arguments(self) -> None:
        x = cupy.asarray(np.arange(3.0))
        with pytest.raises(TypeError, match="no implementation found"):
            np.ediff1d(x)
        with pytest.raises(TypeError, match="__array_ufunc__"):
            np.vecdot(x, x)
        with pytest.raises(TypeError, match="__array_ufunc__"):
            np.add.at(x, (cupy.asarray([0, 1]),), 1.0)  # CuPy's answer to NumPy takes no tuple of arrays; its own does
        cupy.add.at(x, (cupy.asarray([0, 0]),), 1.0)
        assert x.tolist() == [2.0, 1.0, 2.0]
        for wrong in (
            lambda: x.argsort(kind="mergesort"),
            lambda: x.sum(where=True),
            lambda: np.exp(x, where=True),
            lambda: x.astype(np.float32, casting="safe"),
            lambda: cupy.asarray(1.0).nonzero(),
            lambda: hash(x),
            lambda: cupy.add.at(cupy.zeros(2, np.int64), cupy.asarray([0]), 1),
        ):
            with pytest.raises((TypeError, ValueError)):
                wrong()
        assert not hasattr(cupy.random.default_rng(0), "permutation")

    def test_it_shares_memory_as_cupy_does(self) -> None:
        x = cupy.zeros((2, 3))
        row = x[1]
        row += 1
        x.reshape(6)[0] = 5.0
        assert x.tolist() == [[5.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
        assert row.base is x
        assert x[cupy.asarray([0])].base is None
        assert x[cupy.asarray([3, -3])].tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]  # out of range: wrapped round
