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
from dataclasses import asdict
from pathlib import Path

from kit import cli, image_data, image_training, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Twin
from kit.beside_torch.twin import Recipe
from kit.image_data import Images
from kit.image_training import Settings
from lab7 import block_comparison, layer_report

import minigrad
from minigrad.training import Run

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


def one(
    name: str,
    seed: int,
    images: Images,
    args: argparse.Namespace,
    out: Path | None = None,
    label: str | None = None,
) -> Run:
    """One training, from new weights to its page; in the folder of `out` if it is one of several."""
    args = argparse.Namespace(**{**vars(args), "seed": seed})
    settings = image_training.resolved(SETTINGS, args)
    run = lab_run.start(
        args,
        label or name,
        f"Lab 7: residual block, {name} ({images.kind})",
        {"data": images.kind, "network": name, **asdict(settings)},
        out=out,
        template={**asdict(settings), "experiment": name, "seed": seed, "seeds": None},
    )
    if images.warning:
        run.notice(images.warning, say=out is None)
    with run:
        trained = image_training.train(run, NETWORKS[name].make(minigrad), images, settings, args)
        block_comparison.of_run(trained, name, images, differences(settings))
    return run


def differences(settings: Settings) -> list[str]:
    """What is not as in the report's runs."""
    own = asdict(SETTINGS)
    return [f"{key} {value:g} instead of {own[key]:g}" for key, value in asdict(settings).items() if value != own[key]]


def several(names: list[str], images: Images | None, args: argparse.Namespace) -> Run:
    """Layers, trainings if there are images, or both, and the page that tells of all."""
    seeds = args.seeds or [args.seed + i for i in range(2 if args.quick else SEEDS)]
    members = {f"{name}-seed-{seed}": (name, seed) for seed in seeds for name in names}
    title = f"Lab 7: {args.experiment}" + (f" ({images.kind})" if images else "")
    parent = lab_run.start(args, args.experiment, title, {"runs": list(members)} if images else {})
    if images and images.warning:
        parent.notice(images.warning)
    with parent:
        if args.experiment in ("all", "layers"):
            layer_report.of_layers(parent, args.quick, args.device)
        if images and not parent.interrupted:
            records = image_training.each(
                parent, list(members), args, lambda label: one(*members[label], images, args, parent.folder, label)
            )
            trainings = [(members[record.name][0], record) for record in records]
            real = images.complete and not args.quick
            block_comparison.of_runs(parent, trainings, real, differences(image_training.resolved(SETTINGS, args)))
    return parent


def beside_torch(names: list[str], images: Images, args: argparse.Namespace) -> Run:
    """The networks trained by minigrad and by PyTorch for some steps."""
    settings = image_training.resolved(SETTINGS, args)
    title = f"Lab 7: residual blocks beside PyTorch ({images.kind})"
    run = lab_run.start(args, f"{args.experiment}-torch", title, {"data": images.kind, **asdict(settings)})
    if images.warning:
        run.notice(images.warning)
    twins = {name: Twin(NETWORKS[name], Recipe("optim.Adam", lr=settings.lr)) for name in names}
    with run:
        sets = images.train.tensors, images.test.tensors
        compare_torch.compare(run, twins, *sets, args, batch_size=settings.batch_size)
    return run


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
    images = image_data.load("mnist", args.data, args.quick, args.seed, args.device) if names else None
    if images:
        for name in names:
            model, settings = NETWORKS[name].make(minigrad), image_training.resolved(SETTINGS, args)
            image_training.check_batch(model, images, settings, args.device)
    if images and compared:
        run = beside_torch(names, images, args)
    elif images and args.experiment in NETWORKS and not args.seeds:
        run = one(args.experiment, args.seed, images, args)
    else:
        run = several(names, images, args)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
