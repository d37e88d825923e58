"""Lab 5's networks trained by PyTorch alone: what does it come to on the same images with the same settings?

    python labs/torch_reference.py cifar10-rescnn --seeds 42 43

`--compare torch` trains both libraries for a while, from the same weights, without dropout. Here PyTorch makes its own
weights, batches and dropout masks, as minigrad does in the lab, and goes on to the last epoch, so that both test
accuracies can stand side by side. Images lie in memory with their channels last, which PyTorch is faster with; products
are of float32 numbers on a GPU too (``--device cuda``), not of rounded ones (TF32).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from typing import Any

import lab5_cnn_vs_mlp as lab5
from kit import cli, image_data, image_training
from kit.beside_torch.twin import Recipe
from kit.image_data import Images
from kit.image_training import EVALUATION_BATCH, Settings

from minigrad.terminal import readable_output


def accuracies(network: Recipe, images: Images, settings: Settings, seed: int, device: str = "cpu") -> Iterator[float]:
    """Train, and yield the share of test images told right after each epoch."""
    torch: Any = importlib.import_module("torch")
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(seed)
    model = network.make(torch).to(device, memory_format=torch.channels_last)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    sets = (images.train, images.test)
    (x, y), (test_x, test_y) = ([torch.from_numpy(t.numpy()).to(device) for t in s.tensors] for s in sets)

    def batch(rows: Any) -> Any:
        return rows.contiguous(memory_format=torch.channels_last)

    for _ in range(settings.epochs):
        model.train()
        for rows in torch.randperm(len(x), device=device).split(settings.batch_size):
            optimizer.zero_grad()
            criterion(model(batch(x[rows])), y[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            guesses = torch.cat([model(batch(part)).argmax(1) for part in test_x.split(EVALUATION_BATCH)])
        yield (guesses == test_y).double().mean().item()


def main(argv: list[str] | None = None) -> int:
    readable_output()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=lab5.RUNS, help="one of lab 5's")
    image_training.add_seeds(parser, "42")
    parser.add_argument("--epochs", type=cli.at_least_one, metavar="N", help="(default: the experiment's own)")
    parser.add_argument("--data", metavar="DIR", help="folder of the data sets, as in the labs")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="(default: cpu)")
    parser.add_argument("--quick", action="store_true", help="few images, to see that everything works")
    image_training.add_settings(parser)
    args = parser.parse_args(argv)
    if importlib.util.find_spec("torch") is None:
        parser.error("PyTorch is not installed; install it with: pip install torch")
    if args.device == "cuda" and not importlib.import_module("torch").cuda.is_available():
        parser.error("argument --device: PyTorch finds no GPU here; train on the CPU (--device cpu)")
    experiment = lab5.RUNS[args.experiment]
    settings = image_training.resolved(experiment.settings, args)
    for seed in args.seeds or [42]:
        images = image_data.load(experiment.dataset, args.data, args.quick, seed)
        if images.warning:
            print(images.warning)
        begun, found = time.perf_counter(), []
        for accuracy in accuracies(experiment.network, images, settings, seed, args.device):
            found.append(accuracy)
            print(f"epoch {len(found)}: test accuracy {accuracy:.4f}, {time.perf_counter() - begun:.0f} s", flush=True)
        best = max(found)
        print(f"{args.experiment}, seed {seed}: best {best:.4f} (epoch {found.index(best) + 1}), last {found[-1]:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
