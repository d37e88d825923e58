"""Lab 6: which convolutions? Networks that differ in one thing only, the size of their kernels or their depth.

What a network sees at once is its receptive field: the part of the image that one of its last feature maps' values
depends on. Large kernels widen it at once, many small ones step by step, and a shortcut leaves a way around. Here the
field is computed from the layers and measured by gradients, and the networks learn MNIST and CIFAR-10 for five epochs.

All are small and end in the mean over the image, so they learn slowly: after five epochs they are far from done, and
what is compared is how far they came. The figure compared is the best test accuracy of the epochs, as in the report
that this lab follows; the last one stands beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial

from kit import cli, experiments, image_data, image_training, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe, Twin
from kit.image_data import Images
from kit.image_training import Settings, Training
from kit.lab_parser import did_you_mean
from lab6 import comparison, report

import minigrad
from minigrad.runs import Run

SETTINGS = Settings(epochs=5)
NETS = "lab6.network"
NETWORKS: dict[str, Recipe] = {  # each also gets the number of colour channels
    "kernel-3": Recipe(f"{NETS}.KernelSizeCNN", kernel=3),
    "kernel-5": Recipe(f"{NETS}.KernelSizeCNN", kernel=5),
    "kernel-7": Recipe(f"{NETS}.KernelSizeCNN", kernel=7),
    "mixed": Recipe(f"{NETS}.MixedKernelCNN"),
    "shallow-2": Recipe(f"{NETS}.DepthCNN", depth=2),
    "medium-4": Recipe(f"{NETS}.DepthCNN", depth=4),
    "deep-6": Recipe(f"{NETS}.DepthCNN", depth=6),
    "resnet-like": Recipe(f"{NETS}.ResNetLike"),
}
GROUPS = {  # in the order of training, small networks first
    "kernels": ["kernel-7", "kernel-5", "mixed", "kernel-3"],
    "depth": ["shallow-2", "medium-4", "deep-6", "resnet-like"],
}
GROUPS["all"] = GROUPS["kernels"] + GROUPS["depth"]
EXPERIMENTS = {
    "kernels": "kernel-3, kernel-5, kernel-7 and mixed, and a page that compares them",
    "depth": "shallow-2, medium-4, deep-6 and resnet-like, and a page that compares them",
    "all": "both; shallow-2, which is the network of kernel-3, with a seed 1000 higher than the others",
    "kernel-3": "two convolutions 3×3, 32 channels",
    "kernel-5": "two convolutions 5×5, 11 channels",
    "kernel-7": "two convolutions 7×7, 5 channels",
    "mixed": "convolutions 1×1 and 3×3, 32 channels",
    "shallow-2": "two convolutions 3×3, 32 channels: kernel-3 once more",
    "medium-4": "four of them",
    "deep-6": "six of them",
    "resnet-like": "a convolution and three residual blocks of two, without batch-norm",
}
TWIN = 1000  # added to the seed of shallow-2 where kernel-3 is trained, too: the same network with other numbers


def recipe(name: str, channels: int) -> Recipe:
    """A network for images of so many colour channels."""
    own = NETWORKS[name]
    return Recipe(own.name, channels=channels, **own.arguments)


def trainings(args: argparse.Namespace) -> list[Training]:
    """Every network on every data set with every seed, small networks first."""
    networks = GROUPS.get(args.experiment, [args.experiment])
    datasets = list(image_data.TITLES) if args.dataset == "both" else [args.dataset]
    seeds = args.seeds or [args.seed]
    twins = {"kernel-3", "shallow-2"} <= set(networks)
    settings = image_training.resolved(SETTINGS, args)
    adam = Recipe("optim.Adam", lr=settings.lr, weight_decay=settings.weight_decay)
    return [
        Training(
            name=f"{dataset}-{network}" + (f"-seed-{seed}" if len(seeds) > 1 else ""),
            experiment=network,
            title=f"Lab 6: {network} on {{data}}",
            settings=settings,
            load=partial(image_training.images_of, dataset),
            twin=Twin(recipe(network, image_data.SHAPES[dataset][0]), adam),
            seed=seed + (TWIN if twins and network == "shallow-2" else 0),
            dataset=dataset,
            config={"network": network},
            template={**asdict(settings), "dataset": dataset},
        )
        for network in networks
        for dataset in datasets
        for seed in seeds
    ]


def train(run: Run, training: Training, images: Images, args: argparse.Namespace) -> None:
    """Train the network, and write the run's report."""
    model = training.twin.network.make(minigrad).to(args.device)
    before = report.field_before(model, images)
    trained = image_training.train(run, model, images, training.settings, args)
    report.of_run(trained, training.experiment, images, before, experiments.differences(training.settings, SETTINGS))


def several(chosen: Sequence[Training], args: argparse.Namespace) -> Run:
    """A group of runs, and the page that compares them."""
    kinds = [image_training.images_of(dataset, args) for dataset in dict.fromkeys(t.dataset for t in chosen)]
    title = f"Lab 6: {args.experiment}, {' and '.join(dict.fromkeys(images.kind for images in kinds))}"
    config = {"dataset": args.dataset, "runs": [training.name for training in chosen]}
    parent = lab_run.start(args, args.experiment, title, config, data=kinds)
    with parent:
        records = experiments.each(parent, chosen, args, train)
        real = all(images.complete for images in kinds) and not args.quick
        differing = experiments.differences(chosen[0].settings, SETTINGS)
        comparison.of_runs(parent, list(zip(chosen, records, strict=False)), real, differing)
    return parent


def beside_torch(chosen: Sequence[Training], args: argparse.Namespace) -> Run:
    """The first steps of an experiment's networks, by minigrad and by PyTorch."""
    if {"kernel-3", "shallow-2"} <= {training.experiment for training in chosen}:  # one network
        chosen = [training for training in chosen if training.experiment != "shallow-2"]
    config = {"runs": [training.name for training in chosen]}
    title = "Lab 6: in minigrad and in PyTorch"
    return experiments.beside_torch(chosen, args, title, config, headings=image_training.HEADINGS)


def dataset_name(name: str) -> str:
    """An option's value: a data set, or both."""
    known = [*image_data.TITLES, "both"]
    if name not in known:
        hint = did_you_mean(name.lower(), known, most=1)
        raise argparse.ArgumentTypeError(f"there is no data set {name!r}; {hint}It is one of: {', '.join(known)}")
    return name


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab6", EXPERIMENTS, resumable=True)
    parser.add_argument(
        "--dataset", type=dataset_name, default="mnist", metavar="NAME", help="mnist, cifar10 or both (default: mnist)"
    )
    image_training.add_seeds(parser)
    image_training.add_settings(parser)
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    beside = compare_torch.requested(parser, args)
    chosen = trainings(args)
    image_training.check_batches(chosen, args)
    if beside:
        run = beside_torch(chosen, args)
    elif len(chosen) > 1:
        run = several(chosen, args)
    else:
        run = experiments.one(chosen[0], args, train)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
