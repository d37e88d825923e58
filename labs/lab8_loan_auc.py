"""Lab 8: which loans are approved? Five experiments with small networks on a table of numbers, judged by AUC.

AUC is the area under the ROC curve: how often an approved loan is scored above one that is not, whatever the threshold.
A plain network (1), a deep one (2), the same with batch normalisation and skips (3), with dropout (4), and with weight
decay at several learning rates (5). Each curve is shown as it is and smoothed as TensorBoard does it: the best of many
noisy epochs is luck in part, and the report tells how much.

The figures called val are those of the test loans, as in the report that this lab follows. It picks its best epochs by
them, so they flatter all its networks a little, and so do ours.

A step takes 0.2 to 3 ms, which is too short to be shared out: one thread (OMP_NUM_THREADS=1) is as fast as two, and
where other programs run many times faster, since threads that wait for each other then wait for those as well.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kit import cli, experiments, lab_run
from kit.beside_torch import compare_torch
from kit.beside_torch.compare_torch import Recipe, Twin
from lab8 import comparison, data, report
from lab8.network import network

import minigrad
from minigrad import nn, optim
from minigrad.runs import Run
from minigrad.training import AUC, Accuracy, Trainer
from minigrad.training import callbacks as cb
from minigrad.utils.data import DataLoader, TensorDataset

EVALUATION_BATCH = 1024
QUICK_ROWS = 640, 320


@dataclass(frozen=True)
class Settings:
    """Of one run."""

    net: str  # "simple", "deep" or "skip"
    epochs: int
    dropout: float = 0.0  # of "skip"
    lr: float = 0.01
    weight_decay: float = 0.0
    batch_size: int = 32


RUNS = {
    "simple": Settings("simple", 65),
    "deep": Settings("deep", 40),
    "skip": Settings("skip", 45),
    "dropout-run": Settings("skip", 45, dropout=0.5),
    "weight-decay-run": Settings("skip", 30, dropout=0.5, lr=0.05, weight_decay=0.001),
}
Member = tuple[str, dict[str, float]]  # one of RUNS, and what is different in this run
DROPOUT: list[Member] = [("dropout-run", {"dropout": p}) for p in (0.01, 0.1, 0.2, 0.5, 0.9)]
DECAY: list[Member] = [
    ("weight-decay-run", {"weight_decay": decay, "lr": lr}) for decay in (0.1, 0.01, 0.001) for lr in (0.01, 0.05, 0.1)
]
GROUPS = {
    "dropout": DROPOUT,
    "weight-decay": DECAY,
    "all": [*((name, {}) for name in ("simple", "deep", "skip")), *DROPOUT, *DECAY],
}
EXPERIMENTS = {
    "simple": "1: 11-32-128-ReLU-32-1, 65 epochs",
    "deep": "2: three blocks 128-512-ReLU-128, 40 epochs",
    "skip": "3: each block with BatchNorm first and a skip around it, 45 epochs",
    "dropout": "4: and with dropout of 0.01, 0.1, 0.2, 0.5 and 0.9, 45 epochs each",
    "weight-decay": "5: dropout 0.5, weight decay 0.1, 0.01, 0.001 by lr 0.01, 0.05, 0.1, 30 epochs each",
    "dropout-run": "one run of 4, dropout 0.5 or that of --dropout",
    "weight-decay-run": "one run of 5, weight decay 0.001 and lr 0.05 or those given",
    "all": "1 to 5: seventeen runs, and a page that compares them",
}


# ------------------------------------------------------------------------------------------------------- the training


Training = experiments.Training[Settings, data.Loans]


class StopOnNaN(cb.Callback):
    """Ends the training at an epoch whose loss is no number.

    TerminateOnNaN would tell the batch and the op, but looks at each batch: a tenth to a quarter of a step this short.
    """

    order = cb.Order.CONTROL

    def on_validation_end(self, trainer: Trainer) -> None:
        loss = trainer.logs["loss"] + trainer.logs["val_loss"]
        if not math.isfinite(loss):
            raise cb.CancelFit(f"the loss is {loss}; try a lower learning rate (--lr)")


def train(run: Run, training: Training, loans: data.Loans, args: argparse.Namespace) -> None:
    """Train the network, and write the run's report."""
    settings = training.settings
    model = network(settings.net, settings.dropout)
    learned, testing = [
        TensorDataset(*(minigrad.tensor(array, device=args.device) for array in split))
        for split in (loans.train, loans.test)
    ]
    batches = DataLoader(learned, settings.batch_size, shuffle=True)
    test_batches = DataLoader(testing, EVALUATION_BATCH)
    optimizer = optim.SGD(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    best_auc = cb.ModelCheckpoint(run.checkpoints / "auc", "val_auc", every_epochs=settings.epochs)
    best_loss = cb.ModelCheckpoint(run.checkpoints, "val_loss")  # after the other: it saves the state of all
    callbacks = [
        cb.EpochTimer(),
        StopOnNaN(),
        cb.ProgressBar(run.name),
        cb.RunLogger(run, every=0, model_input=learned[:2][0]),
        best_auc,
        best_loss,
    ]
    trainer = Trainer(model, nn.BCEWithLogitsLoss(), optimizer, {"auc": AUC()}, callbacks, args.device)
    lab_run.fit(trainer, run, args, batches, test_batches, settings.epochs)

    scores = {}
    for name, checkpoint in (("highest test AUC", best_auc), ("lowest test loss", best_loss)):
        if checkpoint.best_weights.exists():
            model.load_state_dict(minigrad.load(checkpoint.best_weights))
            scores[name] = trainer.predict(test_batches)
    run.save_weights(model.state_dict())  # those of the lowest test loss
    report.of_run(run, loans, scores, differences(run.name, settings))


# ---------------------------------------------------------------------------------------------------- several of them


def name_of(experiment: str, settings: Settings) -> str:
    """A run of a group is named by what it varies."""
    if experiment == "dropout-run":
        return f"dropout-{settings.dropout:g}"
    if experiment == "weight-decay-run":
        return f"wd-{settings.weight_decay:g}-lr-{settings.lr:g}"
    return experiment


def differences(name: str, settings: Settings) -> list[str]:
    """What is not as in the report's run of this name."""
    for experiment, own in RUNS.items():
        if name_of(experiment, own) == name:
            return experiments.differences(settings, own)
    return []


def resolved(experiment: str, args: argparse.Namespace, **changes: float) -> Settings:
    """A run's settings: the experiment's own, those given as options in their place, and what the run varies."""
    if args.quick:
        changes["epochs"] = min(2, args.epochs or 2)
    return experiments.resolved(RUNS[experiment], args, **changes)


def trainings(members: Sequence[Member], loans: data.Loans, args: argparse.Namespace) -> list[Training]:
    """The runs of an experiment."""
    found = []
    for experiment, changes in members:
        settings = resolved(experiment, args, **changes)
        name = name_of(experiment, settings)
        options = {key: value for key, value in asdict(settings).items() if key != "net"}
        if settings.net != "skip":
            del options["dropout"]
        twin = Twin(
            Recipe("lab8.network.network", net=settings.net, dropout=settings.dropout),
            Recipe("optim.SGD", lr=settings.lr, weight_decay=settings.weight_decay),
        )
        title = f"Lab 8: loans by AUC, {name} ({{data}})"
        found.append(Training(name, experiment, title, settings, lambda args: loans, twin, template=options))
    return found


def several(chosen: Sequence[Training], loans: data.Loans, args: argparse.Namespace) -> Run:
    """A group of runs, one after another, and the page that compares them."""
    title = f"Lab 8: loans by AUC, {args.experiment} ({loans.kind})"
    config = {"data": loans.kind, "runs": [training.name for training in chosen]}
    parent = lab_run.start(args, args.experiment, title, config, data=[loans])
    with parent:
        records = experiments.each(parent, chosen, args, train)
        comparison.of_runs(parent, records, real=loans.kind == "loans" and not args.quick)
    return parent


def beside_torch(chosen: Sequence[Training], loans: data.Loans, args: argparse.Namespace) -> Run:
    """The first steps of an experiment's runs, by minigrad and by PyTorch."""
    runs: dict[tuple[Any, ...], Training] = {}  # one of those that only dropout, left out here, sets apart
    for training in chosen:
        settings = training.settings
        runs.setdefault((settings.net, settings.lr, settings.weight_decay), training)
    return experiments.beside_torch(
        list(runs.values()),
        args,
        f"Lab 8: loans by AUC, in minigrad and in PyTorch ({loans.kind})",
        {"data": loans.kind, "runs": [training.name for training in runs.values()]},
        loss=Recipe("nn.BCEWithLogitsLoss"),
        metrics={"accuracy": Accuracy(), "AUC": AUC()},
    )


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab8", EXPERIMENTS, resumable=True)
    cli.add_settings(
        parser,
        ("--lr", cli.positive, "the learning rate"),
        ("--weight-decay", cli.not_negative, "the optimizer's weight decay"),
        ("--dropout", cli.probability, "the share of a block's hidden values left out, with skips only"),
        ("--batch-size", cli.at_least_one, "loans in a batch"),
    )
    compare_torch.option(parser)
    args = parser.parse_args(argv)
    members = GROUPS.get(args.experiment, [(args.experiment, {})])
    for key in sorted({key for _, changes in members for key in changes}):
        if getattr(args, key) is not None:
            parser.error(
                f"argument --{key.replace('_', '-')}: the runs of {args.experiment} differ in it; for one run take "
                "--experiment dropout-run or weight-decay-run"
            )
    if args.dropout is not None and RUNS[members[0][0]].net != "skip":
        parser.error(f"argument --dropout: the network of {args.experiment} has no dropout")
    compared = compare_torch.requested(parser, args)
    try:
        loans = data.load(args.data)
    except data.LoanDataError as error:
        if not (args.quick and isinstance(error, data.LoansMissing)):
            raise SystemExit(f"error: {error}") from None
        loans = data.look_alike(QUICK_ROWS, args.seed)
    if args.quick:
        loans = data.fewer(loans, *QUICK_ROWS)
    chosen = trainings(members, loans, args)
    if compared:
        run = beside_torch(chosen, loans, args)
    elif args.experiment in GROUPS:
        run = several(chosen, loans, args)
    else:
        run = experiments.one(chosen[0], args, train)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
