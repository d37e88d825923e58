"""What labs 5 to 7 share: the data and its faults, batches that cannot be, verdicts on curves and on conclusions."""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kit import findings, image_data, image_training
from kit.image_training import Settings
from lab5 import overfitting
from lab5.network import CNN, FCNet, ResCNN

import minigrad

LABS = Path(image_training.__file__).parents[1]


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


# ----------------------------------------------------------------------------------------------------------- the data


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


# -------------------------------------------------------------------------------------------------------------- batches


def test_a_batch_larger_than_the_data_is_refused():
    images = image_data.load("mnist", None, True, 0)
    with pytest.raises(SystemExit, match=r"--batch-size 257: there are only 256 images to learn from"):
        image_training.check_batch(CNN(), images, Settings(1, batch_size=257))
    image_training.check_batch(CNN(), images, Settings(1, batch_size=256))


def test_a_step_that_needs_more_memory_than_is_free_is_refused(monkeypatch):
    import psutil

    images = image_data.load("cifar10", None, True, 0)
    needed = image_training.memory_of_a_step(ResCNN(3, pool=4), images, 256)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: argparse.Namespace(available=needed / 2))
    with pytest.raises(
        SystemExit, match=r"--batch-size 256: a training step would need about .* GiB.* at most 1[23]\d$"
    ):
        image_training.check_batch(ResCNN(3, pool=4), images, Settings(1, batch_size=256))


STEP = """
import sys
sys.path.insert(0, sys.argv[1])
import minigrad
from minigrad.training.probes import peak_memory, resident_memory
from lab5.network import ResCNN

model = ResCNN(3, pool=4)
optimizer = minigrad.optim.Adam(model.parameters())

def step(batch):
    labels = minigrad.zeros(batch, dtype=minigrad.int64)
    minigrad.nn.functional.cross_entropy(model(minigrad.randn(batch, 3, 32, 32)), labels).backward()
    optimizer.step()

step(2)  # kernels are loaded
before = resident_memory()
step(256)
print(peak_memory() - before)
"""


def test_the_memory_of_a_step_is_about_what_it_takes():
    # in a process of its own, where no memory lies ready that an earlier test used
    done = subprocess.run([sys.executable, "-c", STEP, str(LABS)], capture_output=True, text=True, check=True)
    took = float(done.stdout) * 2**20
    estimated = image_training.memory_of_a_step(ResCNN(3, pool=4), image_data.load("cifar10", None, True, 0), 256)
    assert took < estimated < 1.6 * took


def test_memory_grows_with_the_batch_and_the_weights():
    images = image_data.load("mnist", None, True, 0)
    model = FCNet(784, [100])
    sizes = [image_training.memory_of_a_step(model, images, n) for n in (1, 2)]
    # flatten 784, linear and ReLU 100 each, linear 10; 4 bytes, and a quarter more
    assert sizes[1] - sizes[0] == 4 * 1.25 * (784 + 100 + 100 + 10)
    assert sizes[0] - (sizes[1] - sizes[0]) == 4 * 4 * 79_510


# ---------------------------------------------------------------------------------------------------------- overfitting


@pytest.mark.parametrize(
    ("loss", "val_loss", "accuracy", "val_accuracy", "kind"),
    [
        ([1.0, 0.5, 0.1], [1.1, 0.9, 1.4], [0.6, 0.8, 0.97], [0.55, 0.6, 0.6], "yes"),
        ([1.0, 0.5, 0.4], [1.1, 0.9, 0.91], [0.6, 0.8, 0.85], [0.55, 0.6, 0.62], "begins"),
        ([1.0, 0.9, 0.8], [1.0, 0.8, 0.7], [0.6, 0.65, 0.70], [0.62, 0.7, 0.74], "no"),
        ([1.0, 0.5, 0.9], [1.1, 0.8, 1.3], [0.6, 0.8, 0.66], [0.6, 0.7, 0.62], "begins"),  # both diverge
        ([1.0], [1.0], [0.605], [0.6], "no"),  # half a per cent of 10,000 images is chance
    ],
)
def test_the_verdict_follows_the_curves(loss, val_loss, accuracy, val_accuracy, kind):
    judged = overfitting.verdict(loss, val_loss, accuracy, val_accuracy, 10_000)
    assert judged.kind == kind
    assert f"{accuracy[-1]:.4f}" in str(judged)
    assert f"{val_accuracy[-1]:.4f}" in str(judged)


def test_with_fewer_test_images_more_is_chance():
    curves = [1.0, 0.5], [1.0, 0.7], [0.5, 0.75], [0.5, 0.72]
    assert [overfitting.verdict(*curves, n).kind for n in (100, 10_000)] == ["no", "begins"]


def test_without_an_epoch_there_is_nothing_to_judge():
    assert overfitting.verdict([], [], [], [], 100).kind == "no"


# ---------------------------------------------------------------------------------------------------------- conclusions


def test_agreement_asks_for_more_than_noise():
    assert [findings.agreement(a, 0.5, 0.01) for a in (0.52, 0.505, 0.48)] == ["yes", "not clear", "no"]
    assert findings.chance(0.9, 10_000) == pytest.approx(2 * 0.003)


@pytest.mark.parametrize(
    ("answers", "one"),
    [
        (["yes", "yes"], "yes"),
        (["no", "no"], "no"),
        (["yes", "not clear"], "not clear"),
        (["yes", "no"], "in part, 1 of 2"),
    ],
)
def test_several_answers_become_one(answers, one):
    assert findings.together(answers) == one
