"""How labs 5 to 7 train a network on images: options, training, figures, and checks of the batch size."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import minigrad
from minigrad import nn, optim
from minigrad.runs import Run, RunRecord
from minigrad.training import Accuracy, Trainer
from minigrad.training import callbacks as cb
from minigrad.training.probes import peak_memory
from minigrad.utils.data import DataLoader, TensorDataset

from . import cli, experiments, image_data, lab_run
from .image_data import Images

EVALUATION_BATCH = 1000
QUICK_BATCH = 64
HEADINGS = {name: f"{title}, beside PyTorch" for name, title in image_data.TITLES.items()}  # of comparisons


@dataclass(frozen=True)
class Settings:
    """Of one training."""

    epochs: int
    batch_size: int = 1024
    lr: float = 1e-3
    weight_decay: float = 0.0


Training = experiments.Training[Settings, Images]


@dataclass
class Trained:
    """A trained network, and what its report is made from."""

    run: Run
    model: nn.Module
    trainer: Trainer
    gradients: cb.GradientMonitor
    scores: minigrad.Tensor  # (N, 10), of the test images, with the last weights
    exact: float | None = None  # test accuracy with exact batch-norm statistics, where there is batch norm


def add_settings(parser: argparse.ArgumentParser, *names: str) -> None:
    """Options for fields of Settings; each, if given, takes the place of the experiment's own."""
    options: dict[str, tuple[str, Any, str]] = {
        "batch_size": ("--batch-size", cli.at_least_one, "images in a batch"),
        "lr": ("--lr", cli.positive, "Adam's learning rate"),
        "weight_decay": ("--weight-decay", cli.not_negative, "Adam's weight decay"),
    }
    cli.add_settings(parser, *[options[name] for name in names or options])


def add_seeds(parser: argparse.ArgumentParser, default: str = "--seed alone") -> None:
    """The option to train each network several times: `args.seeds`, different whole numbers, or None."""
    parser.add_argument(
        "--seeds",
        action=_Different,
        type=int,
        nargs="+",
        metavar="N",
        help=f"train each network once for each of these seeds; the page then has means (default: {default})",
    )


class _Different(argparse.Action):
    """Takes a list in which no value stands twice: two runs of one seed would be the same run."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if len(set(values)) < len(values):
            raise argparse.ArgumentError(self, f"expected different numbers, got {values}")
        setattr(namespace, self.dest, values)


def images_of(dataset: str, args: argparse.Namespace) -> Images:
    """A data set by its name, for the lab's options."""
    return image_data.load(dataset, args.data, args.quick, args.seed, args.device)


def resolved(own: Settings, args: argparse.Namespace) -> Settings:
    """The experiment's settings, overridden by the options given; at most two epochs with `--quick`."""
    if not args.quick:
        return experiments.resolved(own, args)
    size = getattr(args, "batch_size", None) or QUICK_BATCH
    return experiments.resolved(own, args, batch_size=size, epochs=min(2, args.epochs or 2))


def train(
    run: Run,
    model: nn.Module,
    images: Images,
    settings: Settings,
    args: argparse.Namespace,
    extra: Sequence[cb.Callback] = (),
) -> Trained:
    """Train with cross-entropy and Adam, from the model's present weights; the figures go into the run's results.

    The curves named val_ are those of the test images; nothing is chosen by them: the weights kept are the last ones.
    """
    check_batch(model, images, settings, args.device)
    training = DataLoader(images.train, settings.batch_size, shuffle=True)
    testing = DataLoader(images.test, EVALUATION_BATCH)
    gradients = cb.GradientMonitor(run, every=10)
    callbacks = [
        gradients,
        cb.EpochTimer(),
        cb.MemoryMonitor(),
        cb.TerminateOnNaN(),
        cb.ProgressBar(run.name),
        cb.RunLogger(run, every=10, model_input=images.train[:1][0]),
        cb.ModelCheckpoint(run.checkpoints, "val_accuracy"),
        *extra,
    ]
    optimizer = optim.Adam(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    trainer = Trainer(model, nn.CrossEntropyLoss(), optimizer, {"accuracy": Accuracy()}, callbacks, args.device)
    lab_run.fit(trainer, run, args, training, testing, settings.epochs)
    started = time.perf_counter()
    scores = trainer.predict(testing)
    seconds = time.perf_counter() - started
    run.save_weights(model.state_dict())
    run.results |= _figures(run, model, images, seconds)
    exact = None if run.interrupted else _with_exact_statistics(trainer, images.train, testing)
    if exact is not None:
        run.results[f"{_prefix(images)}exact_statistics_test_accuracy"] = exact
    return Trained(run, model, trainer, gradients, scores, exact)


def _figures(run: Run, model: nn.Module, images: Images, inference: float) -> dict[str, Any]:
    """What every run has in its summary. Figures that are not of all images say so in their names."""
    prefix = _prefix(images)
    figures: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    epochs, accuracy = run.column("val_accuracy")
    if epochs:
        best = max(accuracy)
        figures |= {
            f"{prefix}best_test_accuracy": best,
            "best_epoch": int(epochs[accuracy.index(best)]),
            f"{prefix}test_accuracy": accuracy[-1],
            f"{prefix}train_accuracy": run.column("accuracy")[1][-1],
            "mean_grad_norm": fmean(run.column("grad_norm")[1]),
        }
    rates = [row["samples_per_second"] for row in run.performance if row.get("samples_per_second")]
    figures["train_seconds"] = round(sum(len(images.train) / rate for rate in rates), 3)
    figures["inference_seconds"] = round(inference, 4)
    figures["peak_rss_mib"] = round(peak_memory(), 1)
    return figures


def _prefix(images: Images) -> str:
    return "" if images.complete else f"{images.kind.lower().replace('-', '_')}_quick_"


def _with_exact_statistics(trainer: Trainer, images: TensorDataset, testing: Iterable[Any]) -> float | None:
    """The test accuracy with batch norm's statistics of the training images under the last weights; None without batch
    norm. The model is left as it was."""
    buffers = {name: buffer.clone() for name, buffer in trainer.model.named_buffers()}
    if not any(name.endswith("running_mean") for name in buffers):
        return None
    optim.swa_utils.update_bn(DataLoader(images, EVALUATION_BATCH), trainer.model)
    accuracy = trainer.evaluate(testing)["accuracy"]
    trainer.model.load_state_dict(buffers, strict=False)
    return accuracy


def report_statistics(trained: Trained) -> None:
    """A paragraph on the run's page: the test accuracy lost because batch norm's statistics lag behind the weights."""
    run = trained.run
    if trained.exact is None or not run.history:
        return
    last = run.history[-1]["val_accuracy"]
    run.text(
        "Batch norm's statistics",
        f"With the mean and variance of all training images under the last weights, the test accuracy is "
        f"{trained.exact:.4f}; with those that training leaves it is {last:.4f}. These are running averages, in which "
        "the last batches count most, each as the weights of its step made it: they lag some ten steps behind. While "
        "weights change fast, that alone can make a test accuracy fall and rise from epoch to epoch "
        "(optim.swa_utils.update_bn gathers the statistics anew).",
    )


def figure(record: RunRecord, name: str) -> float | None:
    """A figure of the results, with or without the prefix of a quick run."""
    value = next((v for key, v in record.results.items() if key == name or key.endswith(f"_quick_{name}")), None)
    return value if isinstance(value, (int, float)) else None


# --------------------------------------------------------------------------------------------- what a batch can be like


def check_batches(trainings: Iterable[Training], args: argparse.Namespace) -> None:
    """`check_batch` for each network of the trainings, before any work."""
    for training in {(t.experiment, t.dataset): t for t in trainings}.values():
        check_batch(training.twin.network.make(minigrad), training.load(args), training.settings, args.device)


def check_batch(model: nn.Module, images: Images, settings: Settings, device: str = "cpu") -> None:
    """End the program with one message if a batch is larger than the data, or needs more memory than is free."""
    count = len(images.train)
    if settings.batch_size > count:
        raise SystemExit(
            f"error: --batch-size {settings.batch_size}: there are only {count} images to learn from "
            f"({images.kind}); give at most as many"
        )
    if device != "cpu":
        return
    import psutil

    needed, free = memory_of_a_step(model, images, settings.batch_size), psutil.virtual_memory().available
    if needed > free:
        raise SystemExit(
            f"error: --batch-size {settings.batch_size}: a training step would need about {needed / 2**30:.1f} GiB, "
            f"{free / 2**30:.1f} GiB are free; give at most {max(1, int(settings.batch_size * free / needed))}"
        )


def memory_of_a_step(model: nn.Module, images: Images, batch_size: int) -> float:
    """About how many bytes a training step takes: every layer's output, and a quarter more for what is in between.

    Gradients come on top only as long as they are on their way: outputs that backward is done with make room for them.
    Found from the layers' outputs for one image. Weights, gradients and Adam's two averages are four of a kind.
    """
    table = minigrad.utils.summary(model, images.train[:1][0])
    following = [*table.rows[1:], None]
    made = sum(
        math.prod(row.output_shape)
        for row, after in zip(table.rows, following, strict=True)
        if isinstance(row.output_shape, tuple)
        and (after is None or after.depth <= row.depth)  # it has no layers inside
    )
    return 4.0 * (1.25 * made * batch_size + 4 * table.total_parameters)
