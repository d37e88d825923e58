"""Devices by name, and errors that do not blame them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.errors import DeviceError, ShapeError


def test_devices_are_named_as_in_pytorch() -> None:
    device = minigrad.device
    assert (device("cuda:1").type, device("cuda:1").index) == ("cuda", 1)
    assert device("cuda", 1) == device("cuda:1") == device(1) == device(device("cuda:1"))
    assert device("cpu") != device("cuda")
    assert len({device("cuda:0"), device("cuda", 0), device("cuda")}) == 2
    assert [str(device(d)) for d in ("cpu", "cuda", "cuda:2")] == ["cpu", "cuda", "cuda:2"]
    assert repr(device("cuda:2")) == "device(type='cuda', index=2)"
    assert repr(device("cpu")) == "device(type='cpu')"
    for wrong in ("gpu", "cuda:x", "cuda:-1", ""):
        with pytest.raises(DeviceError, match=re.escape(f"{wrong!r} is not a device; use 'cpu', 'cuda' or 'cuda:N'")):
            device(wrong)


def test_a_number_among_tensors_is_on_no_device() -> None:
    # The number travels as a NumPy scalar, which is no array but has a dtype.
    with pytest.raises(ShapeError, match=r"Where: shapes \(4,\) and \(\) and \(3,\) do not broadcast"):
        minigrad.where(minigrad.tensor([True, False, True]), minigrad.zeros(4), 2.0)


def test_sub_classes_of_numpys_arrays_are_on_the_cpu(tmp_path: Path) -> None:
    file = np.memmap(tmp_path / "numbers", dtype=np.float64, mode="w+", shape=(2, 3))
    x = minigrad.from_numpy(file).requires_grad_()
    loss = minigrad.nn.functional.cross_entropy(x, minigrad.tensor([0, 2]))
    loss.backward()
    assert x.grad.shape == (2, 3)
    x.grad = minigrad.ones(2, 3, dtype=minigrad.float64)
    (x * 2).backward(minigrad.ones(2, 3, dtype=minigrad.float64))
    assert x.grad.tolist() == [[3.0] * 3] * 2
    y = minigrad.zeros(2, 3, dtype=minigrad.float64)
    y[:] = x.detach()
