"""Labs 5 to 7: a training step of each network at the labs' batch of 1024.

The networks are those of labs/labN/network.py; for PyTorch the same files are read with one word changed
(labs/kit/beside_torch/twin.py).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..libraries import EAGER, MINIGRAD, Library
from .convnets import classifier
from .registry import Step, case

sys.path.append(str(Path(__file__).resolve().parents[2] / "labs"))  # where the labs' scripts find their packages

from kit.beside_torch.twin import Recipe

MNIST, CIFAR10 = (1, 28, 28), (3, 32, 32)  # (C, H, W)


def network(name: str, title: str, recipe: Recipe, shape: tuple[int, int, int], decay: float = 0.0) -> None:
    """Register a case. Dropout is left out of it: every library draws masks of its own."""

    @case("batches", title, name, libraries=(MINIGRAD, EAGER), quick={"batch": 16})
    def build(lib: Library, batch: int = 1024) -> Step:
        return classifier(lib, recipe.make(lib.module), (batch, *shape), 10, decay=decay)


def registered() -> None:
    """Every network of the three labs, the small ones first."""
    nets, architectures, blocks = "lab5.network", "lab6.network", "lab7.network"
    fc = Recipe(f"{nets}.FCNet", inputs=784, hidden=[512, 256, 128])
    network("mnist_fc", "Lab 5, MNIST, FC 784-512-256-128-10", fc, MNIST)
    network("mnist_cnn_1024", "Lab 5, MNIST, CNN", Recipe(f"{nets}.CNN", dropout=0.0), MNIST)
    network("mnist_rescnn", "Lab 5, MNIST, ResCNN", Recipe(f"{nets}.ResCNN", channels=1, pool=7), MNIST)
    fc = Recipe(f"{nets}.FCNet", inputs=3072, hidden=[2048, 1024, 512, 256])
    network("cifar10_fc", "Lab 5, CIFAR-10, FC 3072-2048-1024-512-256-10", fc, CIFAR10, 5e-4)
    network("cifar10_rescnn", "Lab 5, CIFAR-10, ResCNN", Recipe(f"{nets}.ResCNN", channels=3, pool=4), CIFAR10, 5e-4)
    for dataset, title, shape in (("mnist", "MNIST", MNIST), ("cifar10", "CIFAR-10", CIFAR10)):
        channels = shape[0]
        made: dict[str, tuple[str, dict[str, Any]]] = {
            **{f"kernel{k}": (f"kernels {k}×{k}", {"name": "KernelSizeCNN", "kernel": k}) for k in (3, 5, 7)},
            "mixed": ("kernels 1×1 and 3×3", {"name": "MixedKernelCNN"}),
            **{f"depth{n}": (f"{n} convolutions", {"name": "DepthCNN", "depth": n}) for n in (4, 6)},
            "resnet": ("ResNet-like", {"name": "ResNetLike"}),
        }
        for key, (what, arguments) in made.items():
            kind = arguments.pop("name")
            recipe = Recipe(f"{architectures}.{kind}", channels=channels, **arguments)
            network(f"{dataset}_{key}", f"Lab 6, {title}, {what}", recipe, shape)
    for block, outputs in (("Basic", 16), ("Bottleneck", 16), ("Wide", 4)):
        recipe = Recipe(f"{blocks}.BlockNet", block=Recipe(f"{blocks}.{block}Block"), outputs=outputs)
        network(f"mnist_{block.lower()}", f"Lab 7, MNIST, {block.lower()} residual block", recipe, MNIST)


registered()
