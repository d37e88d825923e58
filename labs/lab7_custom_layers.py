"""Lab 7: layers of one's own, and three kinds of residual blocks.

First four layers that a student adds to the library: a convolution, spatial attention, an activation and an Lp-pool,
each a rule for the way forward and one for the way back (custom_layers.py; faster_rules.py). gradcheck tells whether a
rule is a gradient; of one it is not, on purpose. And is the own layer as fast as the library's?

Then the same small network with three residual blocks learns MNIST, with several seeds: which block is best, which
one can be relied on? The curves named val_ are those of the test images, as in the report that this lab follows;
nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from kit import cli, experiments, image_training, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Twin
from kit.beside_torch.twin import Recipe
from kit.image_data import Images
from kit.image_training import Settings, Training
from lab7 import block_comparison, layer_report

import minigrad
from minigrad.runs import Run

SETTINGS = Settings(epochs=10)
SEEDS = 3


def _network(block: str, **arguments: int) -> Recipe:
    return Recipe("lab7.network.BlockNet", block=Recipe(f"lab7.network.{block}"), **arguments)


NETWORKS = {
    "basic": _network("BasicBlock"),
    "bottleneck": _network("BottleneckBlock"),
    "wide": _network("WideBlock", outputs=4),
}
EXPERIMENTS = {
    "all": "layers and blocks",
    "layers": "four layers of one's own: gradients, and times beside the library's",
    "blocks": f"the three networks below, 10 epochs each, with {SEEDS} seeds each",
    "basic": "MNIST by a residual block of two 3×3 convolutions, 16 channels, 4,704 parameters",
    "bottleneck": "by 1×1, 3×3 and 1×1 convolutions, 2,960 parameters",
    "wide": "by two 3×3 convolutions from 16 to 4 channels, 812 parameters",
}


def trainings(
    networks: Sequence[str], seeds: Sequence[int], images: Images, args: argparse.Namespace
) -> list[Training]:
    """For each seed all networks; a run that is one of several is named by its seed, too."""
    alone = not args.seeds and args.experiment in NETWORKS
    settings = image_training.resolved(SETTINGS, args)
    return [
        Training(
            name=network if alone or args.compare else f"{network}-seed-{seed}",
            experiment=network,
            title=f"Lab 7: residual block, {network} ({{data}})",
            settings=settings,
            load=lambda args: images,
            twin=Twin(NETWORKS[network], Recipe("optim.Adam", lr=settings.lr)),
            seed=seed,
            config={"network": network},
        )
        for seed in seeds
        for network in networks
    ]


def train(run: Run, training: Training, images: Images, args: argparse.Namespace) -> None:
    """Train the network, and write the run's report."""
    trained = image_training.train(run, training.twin.network.make(minigrad), images, training.settings, args)
    differing = experiments.differences(training.settings, SETTINGS)
    block_comparison.of_run(trained, training.experiment, images, differing)


def several(chosen: Sequence[Training], images: Images | None, args: argparse.Namespace) -> Run:
    """Layers, trainings if there are images, or both, and the page that tells of all."""
    title = f"Lab 7: {args.experiment}" + (f" ({images.kind})" if images else "")
    config = {"runs": [training.name for training in chosen]} if images else {}
    parent = lab_run.start(args, args.experiment, title, config, data=[images] if images else [])
    with parent:
        if args.experiment in ("all", "layers"):
            layer_report.of_layers(parent, args.quick, args.device)
        if images and not parent.interrupted:
            records = experiments.each(parent, chosen, args, train)
            compared = [(training.experiment, record) for training, record in zip(chosen, records, strict=False)]
            real = images.complete and not args.quick
            differing = experiments.differences(chosen[0].settings, SETTINGS)
            block_comparison.of_runs(parent, compared, real, differing)
    return parent


def beside_torch(chosen: Sequence[Training], images: Images, args: argparse.Namespace) -> Run:
    """The networks trained by minigrad and by PyTorch for some steps."""
    title = f"Lab 7: residual blocks beside PyTorch ({images.kind})"
    config = {"data": images.kind, **asdict(chosen[0].settings)}
    return experiments.beside_torch(chosen, args, title, config, name=f"{args.experiment}-torch", unit="epoch")


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab7", EXPERIMENTS, resumable=True)
    image_training.add_seeds(parser, f"{SEEDS} seeds, from --seed on")
    image_training.add_settings(parser, "batch_size", "lr")
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    names = list(NETWORKS) if args.experiment in ("all", "blocks") else [args.experiment]
    if args.experiment == "layers":
        names = []
        for option in ("epochs", "batch_size", "lr", "seeds", "compare"):
            if getattr(args, option) is not None:
                flag = f"--{option.replace('_', '-')}"
                parser.error(f"argument {flag}: layers trains no network; take it with --experiment blocks")
    compared = compare_torch.requested(parser, args)
    images = image_training.images_of("mnist", args) if names else None
    chosen = []
    if images:
        seeds = [args.seed]
        if not compared and args.experiment not in NETWORKS:
            seeds = [args.seed + i for i in range(2 if args.quick else SEEDS)]
        chosen = trainings(names, args.seeds or seeds, images, args)
        image_training.check_batches(chosen, args)
    if images and compared:
        run = beside_torch(chosen, images, args)
    elif args.experiment in NETWORKS and not args.seeds:
        run = experiments.one(chosen[0], args, train)
    else:
        run = several(chosen, images, args)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
