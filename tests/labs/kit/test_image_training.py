"""Batches that are larger than the data, or need more memory than is free."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from kit import image_data, image_training
from kit.image_training import Settings
from lab5.network import CNN, FCNet, ResCNN

LABS = Path(image_training.__file__).parents[1]


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
