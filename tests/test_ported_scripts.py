"""PyTorch scripts run on minigrad when only their import lines are changed, and give PyTorch's numbers.

``tests/ported`` holds two scripts that are written for PyTorch and never mention minigrad.
"""

from __future__ import annotations

import re
import struct
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parent / "ported"


def ported(source: str) -> str:
    """The script with ``torch`` and ``torchvision`` replaced by minigrad in its import lines only."""
    source = re.sub(r"(?m)^import torch$", "import minigrad as torch", source)
    return re.sub(r"(?m)^(import|from) torch(?:vision)?\b(?=[. ])", r"\1 minigrad", source)


def names_of(script: str, on_minigrad: bool) -> dict[str, Any]:
    """What a script defines, run with minigrad or as it is."""
    source = (FOLDER / script).read_text(encoding="utf-8")
    namespace: dict[str, Any] = {"__name__": "ported"}
    exec(compile(ported(source) if on_minigrad else source, script, "exec"), namespace)
    return namespace


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
    """As much of torchvision as the script uses: it is not installed beside PyTorch here."""
    torchvision, datasets, transforms = (ModuleType(n) for n in ("torchvision", "datasets", "transforms"))

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

    datasets.MNIST = MNIST  # type: ignore[attr-defined]
    transforms.Compose = Compose  # type: ignore[attr-defined]
    transforms.ToTensor = lambda: lambda a: torch.tensor(a).float().div(255)[None]  # type: ignore[attr-defined]
    transforms.Normalize = lambda mean, std: lambda x: (x - mean[0]) / std[0]  # type: ignore[attr-defined]
    torchvision.datasets, torchvision.transforms = datasets, transforms  # type: ignore[attr-defined]
    return {"torchvision": torchvision}


def test_only_import_lines_change() -> None:
    for path in FOLDER.glob("*.py"):
        before = path.read_text(encoding="utf-8")
        assert "minigrad" not in before
        pairs = zip(before.splitlines(), ported(before).splitlines(), strict=True)
        changed = [old for old, new in pairs if old != new]
        assert len(changed) >= 5
        assert all(line.startswith(("import torch", "from torch")) for line in changed)


def test_the_digits_script_learns_with_dropout_and_shuffling(mnist_root: Path) -> None:
    result = names_of("digits.py", on_minigrad=True)["main"](mnist_root)
    again = names_of("digits.py", on_minigrad=True)["main"](mnist_root)
    assert result["losses"] == again["losses"]  # the seed decides everything
    assert result["scores"][-1][1] >= 90  # of 100
    assert np.mean(result["losses"][-5:]) < 0.3 * np.mean(result["losses"][:3])


def test_the_digits_script_gives_pytorchs_losses(mnist_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    for name, module in stand_in_for_torchvision(torch).items():
        monkeypatch.setitem(sys.modules, name, module)
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
