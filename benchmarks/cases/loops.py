"""Whole epochs: the loop that a lab's training is, with the loader that feeds it."""

from __future__ import annotations

import atexit
import tempfile
from itertools import pairwise
from typing import Any

import numpy as np

from ..libraries import EAGER, MINIGRAD, Library
from .registry import Step, case
from .training import normal, prepared

LOANS = 52_780
DIGITS = 54_000
QUICK = {"rows": 640}
QUICK_1024 = {"rows": 640, "batch": 128}  # of the cases with batches of 1024


def epoch(loader: Any, model: Any, criterion: Any, optimizer: Any) -> Step:
    """A pass over the loader: a training step for each batch. Returns the last loss."""

    def step() -> Any:
        loss: Any = None
        for inputs, target in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), target)
            loss.backward()
            optimizer.step()
        return loss

    return step


@case(
    "loops",
    "Lab 8, loans, simple: 52,780 rows, batches of 32 in random order",
    libraries=(MINIGRAD, EAGER),
    random=True,
    quick=QUICK,
)
def loan_epoch(lib: Library, shuffle: bool = True, rows: int = LOANS) -> Step:
    """An epoch of experiment 1, without what its Trainer writes down."""
    nn, data = lib.nn, lib.module.utils.data
    layers = [nn.Linear(11, 32), nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 32), nn.Linear(32, 1)]
    model = prepared(lib, nn.Sequential(*layers), 8_769)
    x, y = normal(rows, 11), np.random.default_rng(3).integers(0, 2, (rows, 1)).astype(np.float32)
    loader = data.DataLoader(data.TensorDataset(lib.tensor(x), lib.tensor(y)), batch_size=32, shuffle=shuffle)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)
    return epoch(loader, model, nn.BCEWithLogitsLoss(), optimizer)


def _dense_epoch(lib: Library, sizes: list[int], decay: float, shuffle: bool, rows: int, batch: int) -> Step:
    """An epoch of a dense network on random images, Adam."""
    nn, data = lib.nn, lib.module.utils.data
    layers: list[Any] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    model = prepared(lib, nn.Sequential(*layers[:-1]))
    rng = np.random.default_rng(3)
    x, y = rng.random((rows, sizes[0]), dtype=np.float32) - 0.5, rng.integers(0, sizes[-1], rows)
    loader = data.DataLoader(data.TensorDataset(lib.tensor(x), lib.tensor(y)), batch_size=batch, shuffle=shuffle)
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3, weight_decay=decay)
    return epoch(loader, model, nn.CrossEntropyLoss(), optimizer)


@case(
    "loops",
    "Lab 5, MNIST, FC 784-512-256-128-10: 60,000 images, batches of 1024 in random order, Adam",
    libraries=(MINIGRAD, EAGER),
    random=True,
    quick=QUICK_1024,
)
def mnist_fc_epoch(lib: Library, shuffle: bool = True, rows: int = 60_000, batch: int = 1024) -> Step:
    """An epoch of lab 5's dense network, whose steps are short enough for the loader to count."""
    return _dense_epoch(lib, [784, 512, 256, 128, 10], 0.0, shuffle, rows, batch)


@case(
    "loops",
    "Lab 5, CIFAR-10, FC 3072-2048-1024-512-256-10: 50,000 images, batches of 1024 in random order, Adam",
    libraries=(MINIGRAD, EAGER),
    random=True,
    quick=QUICK_1024,
)
def cifar10_fc_epoch(lib: Library, shuffle: bool = True, rows: int = 50_000, batch: int = 1024) -> Step:
    """The same of the nine million parameters for photos."""
    return _dense_epoch(lib, [3072, 2048, 1024, 512, 256, 10], 5e-4, shuffle, rows, batch)


def _lenet(lib: Library) -> Any:
    nn = lib.nn

    class Scaled(nn.Module):  # type: ignore[misc, name-defined]
        """Bytes become numbers batch by batch, as in the lab."""

        def __init__(self, layers: Any) -> None:
            super().__init__()
            self.layers = layers

        def forward(self, images: Any) -> Any:
            return self.layers(images.float() * (1 / 255))

    layers = [
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    ]
    return prepared(lib, Scaled(nn.Sequential(*layers)), 61_706)


def _digits(lib: Library, rows: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (rows, 1, 32, 32), dtype=np.uint8)
    return lib.tensor(images), lib.tensor(rng.integers(0, 10, rows))


@case(
    "loops",
    "Lab 4, LeNet-5: 54,000 images of bytes, batches of 128 in random order, Adam",
    libraries=(MINIGRAD, EAGER),
    random=True,
    quick=QUICK,
)
def lenet_epoch(lib: Library, shuffle: bool = True, rows: int = DIGITS) -> Step:
    """An epoch of the baseline, without monitors and validation."""
    model, data = _lenet(lib), lib.module.utils.data
    loader = data.DataLoader(data.TensorDataset(*_digits(lib, rows)), batch_size=128, shuffle=shuffle)
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    return epoch(loader, model, lib.nn.CrossEntropyLoss(), optimizer)


@case(
    "loops",
    "The same: minigrad's Trainer with all of the lab's monitors, PyTorch bare, its batches cut by index",
    libraries=(MINIGRAD, EAGER),
    random=True,
    quick=QUICK,
)
def lenet_epoch_watched(lib: Library, shuffle: bool = True, rows: int = DIGITS) -> Step:
    """An epoch as the lab runs it, against the least that PyTorch needs for one: no loader, no metric, no log.

    Validation is in neither; minigrad's monitors see one batch of it.
    """
    model, (images, target) = _lenet(lib), _digits(lib, rows)
    criterion = lib.nn.CrossEntropyLoss()
    optimizer = lib.optim.Adam(model.parameters(), lr=1e-3)
    if lib.name == MINIGRAD:
        return _watched(lib, model, criterion, optimizer, images, target, shuffle)

    def step() -> Any:
        loss: Any = None
        order = lib.module.randperm(rows) if shuffle else lib.module.arange(rows)
        for start in range(0, rows, 128):
            chosen = order[start : start + 128]
            optimizer.zero_grad()
            loss = criterion(model(images[chosen]), target[chosen])
            loss.backward()
            optimizer.step()
        return loss

    return step


def _watched(lib: Library, model: Any, criterion: Any, optimizer: Any, images: Any, target: Any, shuffle: bool) -> Step:
    training, data = lib.module.training, lib.module.utils.data  # PyTorch's process never imports minigrad
    cb = training.callbacks
    loader = data.DataLoader(data.TensorDataset(images, target), batch_size=128, shuffle=shuffle)
    validation = data.DataLoader(data.TensorDataset(images[:500], target[:500]), batch_size=500)
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    run = lib.module.runs.Run(folder.name, "watched", {})
    monitors = [
        cb.GradientMonitor(run),
        cb.WeightMonitor(run),
        cb.ActivationMonitor(images[:100], run),
        cb.ConfusionMatrix(10),
        cb.ExamplePredictions(),
    ]
    others = [
        cb.EpochTimer(),
        cb.MemoryMonitor(),
        cb.LearningRateMonitor(),
        cb.TerminateOnNaN(),
        cb.EarlyStopping("val_accuracy", patience=10**9, restore_best=False),  # it is one training, epoch by epoch
        cb.RunLogger(run),
        cb.ModelCheckpoint(run.checkpoints, "val_accuracy"),
    ]

    class LastLoss(cb.Callback):  # type: ignore[misc, name-defined]
        """That of the last training batch, which validation would hide."""

        loss: Any = None

        def on_batch_end(self, trainer: Any) -> None:
            self.loss = trainer.loss

    last = LastLoss()
    trainer = training.Trainer(
        model, criterion, optimizer, {"accuracy": training.Accuracy()}, [*monitors, *others, last]
    )

    def step() -> Any:
        state = trainer.state_dict() if trainer.epoch else None  # one epoch more of the same training
        trainer.fit(loader, validation, trainer.epoch + 1, resume=state)
        return last.loss

    return step
