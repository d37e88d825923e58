"""MNIST and CIFAR-10 for the labs, and what is said of missing and damaged files."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from kit import image_data

import minigrad


def write_mnist(root, counts=(400, 200)):
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, count in zip(("train", "t10k"), counts, strict=True):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
    return folder


def write_cifar10(root, each=60):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        records = rng.integers(0, 256, (each, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    return folder


@pytest.mark.parametrize(("name", "write"), [("mnist", write_mnist), ("cifar10", write_cifar10)])
def test_pixels_are_standardised_by_the_training_images(tmp_path, name, write):
    write(tmp_path)
    images = image_data.load(name, str(tmp_path), False, 0)
    x, labels = (tensor.numpy() for tensor in images.train.tensors)
    assert x.dtype == np.float32
    assert x.shape[1:] == images.shape
    assert labels.dtype == np.int64
    np.testing.assert_allclose(x.mean((0, 2, 3), dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((0, 2, 3), dtype=np.float64), 1, atol=1e-5)
    test = images.test.tensors[0].numpy()
    assert 1e-6 < abs(test.mean(dtype=np.float64)) < 0.1  # by the same mean, so not exactly 0
    assert not images.complete
    assert f"{len(x)} images" in images.warning


def test_quick_takes_a_few_real_images_or_a_look_alike(tmp_path):
    assert image_data.load("cifar10", str(tmp_path), True, 0).kind == "look-alike"
    write_mnist(tmp_path)
    images = image_data.load("mnist", str(tmp_path), True, 0)
    assert (images.kind, len(images.train), len(images.test)) == ("MNIST", 256, 128)
    assert not images.complete
    again = [image_data.load("cifar10", str(tmp_path), True, seed).train.tensors[0] for seed in (1, 1, 2)]
    assert minigrad.equal(again[0], again[1])
    assert not minigrad.equal(again[0], again[2])


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("name", "write", "file", "keep", "message"),
    [
        ("mnist", write_mnist, "train-images-idx3-ubyte", 5000, "train-images-idx3-ubyte"),
        ("mnist", write_mnist, "t10k-labels-idx1-ubyte", 3, "t10k-labels-idx1-ubyte"),
        ("cifar10", write_cifar10, "data_batch_3.bin", 3000, "data_batch_3.bin has 3000 bytes"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, write, file, keep, message, quick):
    path = write(tmp_path) / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SystemExit, match=message) as error:
        image_data.load(name, str(tmp_path), quick, 0)
    assert str(error.value).startswith("error: ")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    (write_cifar10(tmp_path) / "data_batch_2.bin").unlink()
    monkeypatch.setattr(minigrad.datasets.CIFAR10, "download", lambda self: None)  # no network in a test
    with pytest.raises(SystemExit, match=r"is incomplete, data_batch_2\.bin not there"):
        image_data.load("cifar10", str(tmp_path), False, 0)
