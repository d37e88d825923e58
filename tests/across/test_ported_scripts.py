"""PyTorch scripts run on minigrad when only their import lines are changed, and give PyTorch's numbers.

``tests/across/ported`` holds programs that are written for PyTorch and never mention minigrad.
"""

from __future__ import annotations

import contextlib
import runpy
import struct
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from minigrad.porting import missing, ported, run

FOLDER = Path(__file__).parent / "ported"
PROGRAMS = ["digits.py", "first_hour.py", "own_parts.py", "vae.py", "residual/main.py"]


def names_of(script: str, on_minigrad: bool, args: Sequence[str] = ()) -> dict[str, Any]:
    """What a program defines, run with minigrad or as it is."""
    if on_minigrad:
        return run(FOLDER / script, args, run_name="ported")
    with _command_line(FOLDER / script, args):
        return runpy.run_path(str(FOLDER / script), run_name="ported")


@contextlib.contextmanager
def _command_line(script: Path, args: Sequence[str]) -> Iterator[None]:
    """A program's arguments, and its folder on the path, for a run on PyTorch; its modules are forgotten after it."""
    beside = {path.relative_to(script.parent).parts[0].removesuffix(".py") for path in script.parent.rglob("*.py")}
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in beside}
    argv, modules = sys.argv, set(sys.modules)
    sys.argv = [str(script), *args]
    sys.path.insert(0, str(script.parent))
    try:
        yield
    finally:
        sys.argv = argv
        sys.path.remove(str(script.parent))
        for name in set(sys.modules) - modules:
            if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(FOLDER)):
                del sys.modules[name]
        sys.modules.update(others)


def linear_weights(*sizes: int) -> dict[str, np.ndarray[Any, Any]]:
    """Weights for layers fc1, fc2, …, the same for both libraries."""
    rng = np.random.default_rng(0)
    weights = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        bound = 1 / np.sqrt(inputs)
        weights[f"fc{i}.weight"] = rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32)
        weights[f"fc{i}.bias"] = rng.uniform(-bound, bound, outputs).astype(np.float32)
    return weights


def digits(count: int, seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Pictures of 28×28 pixels in which the class is a bright column in noise, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count).astype(np.uint8)
    images = rng.integers(0, 120, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 2 + 2 * int(label)] = 255
    return images, labels


@pytest.fixture(scope="module")
def mnist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set of digits in the files that MNIST comes in."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count, seed in (("train", 320, 1), ("t10k", 100, 2)):
        images, labels = digits(count, seed)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels.tobytes())
    return root


def stand_in_for_torchvision(torch: Any) -> dict[str, ModuleType]:
    """As much of torchvision as the programs use: it is not installed beside PyTorch here."""
    names = ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.utils")
    torchvision, datasets, transforms, utils = modules = [ModuleType(name) for name in names]

    class MNIST(torch.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __init__(self, root: Path, train: bool = True, transform: Any = None, download: bool = False) -> None:
            raw, prefix = Path(root) / "MNIST" / "raw", "train" if train else "t10k"
            images = (raw / f"{prefix}-images-idx3-ubyte").read_bytes()
            self.images = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28)
            self.labels = (raw / f"{prefix}-labels-idx1-ubyte").read_bytes()[8:]
            self.transform = transform

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, i: int) -> tuple[Any, int]:
            return self.transform(self.images[i]), self.labels[i]

    class Compose:
        def __init__(self, steps: list[Any]) -> None:
            self.steps = steps

        def __call__(self, x: Any) -> Any:
            for step in self.steps:
                x = step(x)
            return x

    def to_tensor(image: Any) -> Any:
        image = image if image.ndim == 3 else image[:, :, None]
        return torch.tensor(image.transpose(2, 0, 1)).float().div(255)

    def normalize(mean: Any, std: Any) -> Any:
        mean, std = (torch.tensor(a)[:, None, None] for a in (mean, std))
        return lambda x: (x - mean) / std

    datasets.MNIST = MNIST  # type: ignore[attr-defined]
    transforms.Compose = Compose  # type: ignore[attr-defined]
    transforms.ToTensor, transforms.Normalize = lambda: to_tensor, normalize  # type: ignore[attr-defined]
    utils.save_image = lambda images, file, nrow: None  # type: ignore[attr-defined]
    for name, module in zip(names[1:], modules[1:], strict=True):
        setattr(torchvision, name.partition(".")[2], module)
    return dict(zip(names, modules, strict=True))


@pytest.fixture
def with_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch, or the test is skipped, and a stand-in for torchvision beside it."""
    for name, module in stand_in_for_torchvision(pytest.importorskip("torch")).items():
        monkeypatch.setitem(sys.modules, name, module)


def test_only_import_lines_change() -> None:
    for path in FOLDER.rglob("*.py"):
        before = path.read_text(encoding="utf-8")
        assert "minigrad" not in before
        pairs = zip(before.splitlines(), ported(before).splitlines(), strict=True)
        changed = [old.strip() for old, new in pairs if old != new]
        assert all(line.startswith(("import torch", "from torch")) for line in changed)
        assert len(changed) == sum(
            line.split()[:1] in (["import"], ["from"]) for line in before.splitlines() if "torch" in line
        )


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_name_is_missing(program: str) -> None:
    assert missing(FOLDER / program) == []


def test_the_digits_script_learns_with_dropout_and_shuffling(mnist_root: Path) -> None:
    result = names_of("digits.py", on_minigrad=True)["main"](mnist_root)
    again = names_of("digits.py", on_minigrad=True)["main"](mnist_root)
    assert result["losses"] == again["losses"]  # the seed decides everything
    assert result["scores"][-1][1] >= 90  # of 100
    assert np.mean(result["losses"][-5:]) < 0.3 * np.mean(result["losses"][:3])


@pytest.mark.usefixtures("with_pytorch")
def test_the_digits_script_gives_pytorchs_losses(mnist_root: Path) -> None:
    settings: dict[str, Any] = {"weights": linear_weights(784, 64, 10), "p": 0.0, "shuffle": False}
    ours = names_of("digits.py", on_minigrad=True)["main"](mnist_root, **settings)
    theirs = names_of("digits.py", on_minigrad=False)["main"](mnist_root, **settings)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(ours["scores"], theirs["scores"], rtol=1e-3)
    assert ours["lr"] == pytest.approx(theirs["lr"])


def same(ours: Any, theirs: Any, where: str = "result") -> None:
    """Nested plain values are equal, floats closely so."""
    assert type(ours) is type(theirs) or (isinstance(ours, tuple) and isinstance(theirs, tuple)), where
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for key in ours:
            same(ours[key], theirs[key], f"{where}[{key!r}]")
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), where
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            same(*pair, f"{where}[{i}]")
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6), where
    else:
        assert ours == theirs, where


def test_the_first_hour_gives_pytorchs_numbers(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 4, 96)
    inputs = rng.standard_normal((96, 3, 4)).astype(np.float32)
    inputs[np.arange(96), 0, labels] += 3
    results = [
        names_of("first_hour.py", on_minigrad)["main"](
            linear_weights(12, 24, 16, 4), inputs, labels, tmp_path / f"net-{on_minigrad}"
        )
        for on_minigrad in (True, False)
    ]
    same(*results)
    assert results[0]["correct"] > 80


def arrays(state_dict: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Weights as arrays that both libraries can load."""
    return {name: np.array(tensor.numpy()) for name, tensor in state_dict.items()}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Colour pictures in which the class is the quarter that is bright; starting weights for the residual network."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 4, 100)
    images = rng.integers(0, 160, (100, 12, 12, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[6 * (label // 2) :][:6, 6 * (label % 2) :][:, :6] += 95
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    network = names_of("residual/main.py", True, [str(tmp_path / "data.npz"), "--epochs", "0"])["net"]
    np.savez(tmp_path / "weights.npz", **arrays(network.state_dict()))
    return tmp_path


def residual(folder: Path, on_minigrad: bool, *more: str) -> list[float]:
    """The losses and accuracies of the residual network's training, its checkpoint in a folder of its own."""
    place = folder / f"on-minigrad-{on_minigrad}"
    place.mkdir(exist_ok=True)
    args = [str(folder / "data.npz"), "--weights", str(folder / "weights.npz"), "--folder", str(place), *more]
    return names_of("residual/main.py", on_minigrad, args)["history"]


@pytest.mark.usefixtures("with_pytorch")
def test_a_residual_network_in_several_files_gives_pytorchs_losses_also_when_resumed(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ModuleType("models")  # another program's package of the same name
    monkeypatch.setitem(sys.modules, "models", elsewhere)
    for more in ((), ("--resume", "--epochs", "1")):
        ours, theirs = (residual(pictures, on_minigrad, *more) for on_minigrad in (True, False))
        assert len(ours) == (6 if more else 2 * 6)
        np.testing.assert_allclose(ours, theirs, rtol=2e-3)
    assert sys.modules["models"] is elsewhere
    assert {"models.network", "helpers"}.isdisjoint(sys.modules)


def test_the_residual_network_learns_and_workers_change_nothing_but_rounding(pictures: Path) -> None:
    history = residual(pictures, True, "--epochs", "6")
    assert history[-4] < 0.6 * history[0]  # the last loss of training: those of a test and its accuracy come behind it
    np.testing.assert_allclose(residual(pictures, True, "--workers", "2"), history[:12], rtol=2e-3)


@pytest.mark.usefixtures("with_pytorch")
def test_a_variational_autoencoder_gives_pytorchs_losses_and_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    images = rng.uniform(0, 0.2, (40, 1, 12, 12)).astype(np.float32)
    images[np.arange(40), 0, rng.integers(0, 12, 40)] = 0.9  # a bright row
    noise = [rng.standard_normal((n, 4)).astype(np.float32) for n in (16, 16, 8) * 2]
    weights = arrays(names_of("vae.py", True)["VAE"](4).state_dict())
    results = [
        names_of("vae.py", on_minigrad)["main"](images, weights, noise, picture=tmp_path / "vae.png")
        for on_minigrad in (True, False)
    ]
    same(*results)
    assert (tmp_path / "vae.png").stat().st_size > 500
    free = names_of("vae.py", True)["main"](images, weights, epochs=15)["losses"]
    assert free[-1] < 0.85 * free[0]


@pytest.mark.usefixtures("with_pytorch")
def test_parts_of_ones_own_give_pytorchs_numbers() -> None:
    rng = np.random.default_rng(8)
    lengths, labels = rng.integers(2, 7, 40), rng.integers(0, 2, 40).tolist()
    pairs = zip(lengths, labels, strict=True)
    sequences = [rng.standard_normal((n, 3)).astype(np.float32) + label for n, label in pairs]
    weights = arrays(names_of("own_parts.py", True)["Net"]().state_dict())
    ours, theirs = (
        names_of("own_parts.py", on_minigrad)["main"](weights, sequences, labels) for on_minigrad in (True, False)
    )
    same(ours, theirs)
    assert ours["losses"][-1] < 0.8 * ours["losses"][0]
