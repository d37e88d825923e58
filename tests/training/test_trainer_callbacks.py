"""Callbacks that act on a training: stopping, schedules, clipping, search, diagnosis, tables."""

from __future__ import annotations

import csv
import math
import random

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.runs import Run
from minigrad.training import Accuracy, Callback
from minigrad.training.callbacks import (
    CSVLogger,
    EarlyStopping,
    GradientClipping,
    LearningRateMonitor,
    LRFinder,
    LRSchedule,
    ModelCheckpoint,
    OverfitError,
    OverfitOneBatch,
    ProgressBar,
    RunLogger,
    TensorBoardLogger,
)
from minigrad.utils.data import DataLoader, TensorDataset
from tests.small_training import data, loader, make, net, weights


class Says(Callback):
    """Logs given values as ``figure``, one each epoch, and remembers the weights there."""

    def __init__(self, values):
        self.values = values
        self.weights = []

    def on_validation_start(self, trainer):
        trainer.log("figure", self.values[trainer.epoch - 1])
        self.weights.append(weights(trainer.model))

    def log_names(self):
        return ("figure",)


def fit_with(values, *callbacks, epochs=None, **arguments):
    says = Says(values)
    trainer = make([*callbacks, says], **arguments)
    trainer.fit(loader(), loader(), epochs=epochs or len(values))
    return trainer, says


NAN = math.nan


# --------------------------------------------------------------------------------------------------- early stopping


@pytest.mark.parametrize(
    ("values", "settings", "epochs", "best"),
    [
        ([3, 2, 1, 2, 3, 4], {"mode": "min", "patience": 2}, 5, (1, 3)),
        ([1, 2, 3, 2, 1, 4], {"mode": "max", "patience": 2}, 5, (3, 3)),
        ([3, 4, 2, 4, 1, 9], {"mode": "min", "patience": 2}, 6, (1, 5)),  # the count begins anew with each gain
        ([3, 3, 3], {"mode": "min", "patience": 1}, 2, (3, 1)),
        ([3, 2.95, 2.91, 2.85], {"mode": "min", "patience": 3, "min_delta": 0.1}, 4, (2.85, 4)),
        ([3, 2.95, 2.91, 2.5], {"mode": "min", "patience": 2, "min_delta": 0.1}, 3, (3, 1)),
        ([1, 1.5], {"mode": "max", "patience": 1, "min_delta": 0.5}, 2, (1, 1)),  # as much is no more
        ([NAN, NAN, 1, 2], {"mode": "min", "patience": 2}, 2, (None, 0)),
        ([NAN, 5, NAN, 4, NAN, NAN], {"mode": "min", "patience": 2}, 6, (4, 4)),
        ([math.inf, 5, 6], {"mode": "min", "patience": 2}, 3, (5, 2)),
    ],
)
def test_early_stopping(values, settings, epochs, best):
    stopping = EarlyStopping("figure", **settings)
    trainer, says = fit_with(values, stopping)
    assert len(trainer.history) == epochs
    assert (stopping.best.value, stopping.best.epoch) == best
    if stopping.best.epoch:
        assert weights(trainer.model) == says.weights[stopping.best.epoch - 1]
    assert (trainer.stopped is not None) == (stopping.waited >= settings["patience"])


def test_early_stopping_says_why():
    trainer, _ = fit_with([3, 4, 5], EarlyStopping("figure", mode="min", patience=2))
    assert trainer.stopped == "figure has not improved on 3 of epoch 1 for 2 epochs (EarlyStopping)"
    trainer, _ = fit_with([NAN, 5], EarlyStopping("figure", mode="min", patience=1))
    assert trainer.stopped == "figure has not improved on no number yet for an epoch (EarlyStopping)"


def test_the_best_weights_come_back_only_if_asked():
    trainer, says = fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=9, restore_best=False))
    assert weights(trainer.model) == says.weights[2]
    trainer, says = fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=9))
    assert weights(trainer.model) == says.weights[0]


def test_the_best_is_forgotten_between_fits():
    stopping = EarlyStopping("figure", mode="min", patience=2)
    plateau = lr_scheduler.ReduceLROnPlateau
    trainer, says = fit_with([1, 2], stopping, epochs=2)
    reduce = LRSchedule(plateau(trainer.optimizer, patience=1), monitor="figure")
    trainer.callbacks.append(reduce)
    says.values = [9, 8, 7]
    reduce.scheduler.step(0.5)  # what it has seen is forgotten, too
    reduce.scheduler.step(0.6)
    assert len(trainer.fit(loader(), loader(), epochs=3)) == 3
    assert (stopping.best.value, stopping.best.epoch) == (7, 3)
    assert reduce.scheduler.best == 7
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05


def test_the_mode_by_the_name():
    assert EarlyStopping("val_loss").best.mode == "min"
    assert ModelCheckpoint("x", "val_accuracy").best.mode == "max"
    assert EarlyStopping("val_auc").best.mode == "max"
    with pytest.raises(ValueError, match=r"EarlyStopping: is a large 'figure' good or bad\? Say mode="):
        EarlyStopping("figure")
    with pytest.raises(ValueError, match="mode = 'maximum', expected 'min' or 'max'"):
        EarlyStopping("loss", mode="maximum")
    with pytest.raises(ValueError, match="min_delta = -1, expected 0 or more"):
        EarlyStopping("loss", min_delta=-1)
    with pytest.raises(ValueError, match="patience = 0, expected a whole number, 1 or more"):
        EarlyStopping("loss", patience=0)


# -------------------------------------------------------------------------------------------------------- schedules


def test_schedules_per_epoch_and_per_batch():
    for interval, steps in (("epoch", 3), ("batch", 6)):
        trainer = make()
        schedule = lr_scheduler.StepLR(trainer.optimizer, 1, gamma=0.5)
        trainer.callbacks = [LearningRateMonitor(), LRSchedule(schedule, interval)]
        history = trainer.fit(loader(), epochs=3)
        assert schedule.last_epoch == steps
        assert trainer.optimizer.param_groups[0]["lr"] == 0.05 * 0.5**steps
        if interval == "epoch":
            assert [row["lr"] for row in history] == [0.05, 0.025, 0.0125]  # those of the updates, not after them


def test_reduce_on_plateau_waits_out_its_cooldown():
    """patience 0: each bad epoch reduces, but for the two epochs of cooldown after a reduction."""
    model = net()
    optimizer = minigrad.optim.SGD(model.parameters(), lr=1e-3)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, cooldown=2)
    rates = LearningRateMonitor()
    trainer, _ = fit_with(
        [1, 2, 2, 2, 2, 2, 2], LRSchedule(plateau, monitor="figure"), rates, model=model, optimizer=optimizer
    )
    assert [row["lr"] / 1e-3 for row in trainer.history] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_schedules_that_do_not_fit():
    trainer = make()
    step = lr_scheduler.StepLR(trainer.optimizer, 1)
    plateau = lr_scheduler.ReduceLROnPlateau(trainer.optimizer)
    with pytest.raises(TypeError, match="LRSchedule: scheduler is a SGD, expected an LRScheduler"):
        LRSchedule(trainer.optimizer)
    with pytest.raises(ValueError, match="interval = 'step', expected 'epoch' or 'batch'"):
        LRSchedule(step, "step")
    with pytest.raises(ValueError, match="StepLR watches no metric; leave monitor out"):
        LRSchedule(step, monitor="loss")
    for arguments in ({}, {"monitor": "loss", "interval": "batch"}):
        with pytest.raises(ValueError, match="ReduceLROnPlateau needs monitor"):
            LRSchedule(plateau, **arguments)
    other = make([LRSchedule(step)])
    with pytest.raises(ValueError, match=r"LRSchedule\(StepLR\): its scheduler is of another optimizer"):
        other.fit(loader())
    assert other.step == 0


# --------------------------------------------------------------------------------------------------------- clipping


def test_gradients_are_clipped_after_the_monitors_saw_them():
    norms = []

    class Norms(Callback):
        def on_before_step(self, trainer):
            gradients = [p.grad.numpy().ravel() for p in trainer.model.parameters()]
            norms.append(float(np.linalg.norm(np.concatenate(gradients))))

    class After(Norms):
        order = 15

    clipping = GradientClipping(max_norm=0.1)
    make([clipping, After(), Norms()]).fit(loader(), epochs=2)
    before, after = norms[::2], norms[1::2]
    assert min(before) > 0.1
    assert after == pytest.approx([0.1] * 4, rel=1e-3)
    assert clipping.clipped == 4

    norms.clear()
    clipping = GradientClipping(max_norm=1e6)
    make([clipping, After(), Norms()]).fit(loader())
    assert norms[::2] == norms[1::2]
    assert clipping.clipped == 0


def test_gradients_are_clipped_by_value():
    largest = []

    class Largest(Callback):
        order = 15

        def on_before_step(self, trainer):
            largest.append(max(float(abs(p.grad.numpy()).max()) for p in trainer.model.parameters()))

    make([GradientClipping(max_value=0.01), Largest()]).fit(loader())
    assert largest == pytest.approx([0.01] * 2)


def test_clipping_needs_one_limit_above_zero():
    for arguments in ({}, {"max_norm": 1, "max_value": 1}):
        with pytest.raises(ValueError, match="give either max_norm or max_value"):
            GradientClipping(**arguments)
    for limit in (0, -1, NAN):
        with pytest.raises(ValueError, match="the limit must be above 0"):
            GradientClipping(limit)


# -------------------------------------------------------------------------------------------- before the training


def place(trainer, batches):
    """All that a search must put back."""
    return (
        weights(trainer.model),
        repr(trainer.optimizer.state_dict()["param_groups"]),
        len(trainer.optimizer.state),
        minigrad.get_rng_state(),
        batches.state_dict(),
        random.getstate(),
        [module.training for module in trainer.model.modules()],
        trainer.step,
    )


class Remembers(Callback):
    """The place after the other callbacks' on_fit_start."""

    order = 50

    def on_fit_start(self, trainer):
        self.place = place(trainer, trainer.train_loader)


@pytest.mark.parametrize("make_callback", [lambda: LRFinder(steps=30), lambda: OverfitOneBatch(8, required=False)])
def test_searches_put_everything_back(make_callback):
    callback, remembers = make_callback(), Remembers()
    trainer = make([callback, remembers], lr=0.01)
    trainer.model[1].eval()  # a frozen layer stays so
    random.seed(3)
    batches = DataLoader(data(), 5, shuffle=True, generator=minigrad.Generator().manual_seed(2))
    before = place(trainer, batches)
    trainer.fit(batches)
    assert remembers.place == before

    plain = make(lr=0.01)
    plain.model[1].eval()
    plain.fit(DataLoader(data(), 5, shuffle=True, generator=minigrad.Generator().manual_seed(2)))
    assert weights(plain.model) == weights(trainer.model)


def test_searches_in_a_second_fit_leave_it_a_whole_first_epoch():
    """The first fit ended inside an epoch, at which the loader still stands."""
    trainer = make()
    batches = DataLoader(data(), 5, shuffle=True)

    class Stops(Callback):
        def on_batch_end(self, trainer):
            trainer.stop("enough")

    trainer.callbacks = [Stops()]
    trainer.fit(batches)
    trainer.callbacks = [LRFinder(steps=10), OverfitOneBatch(required=False, steps=3)]
    trainer.fit(batches)
    assert trainer.step == 4


def test_the_learning_rate_found():
    finder = LRFinder(lowest=1e-5, highest=10.0, steps=60, apply=True)
    trainer = make([finder], nn.Linear(3, 1))
    trainer.fit(loader(40, 8))
    assert finder.rates[0] == 1e-5
    ratios = np.diff(np.log(finder.rates))
    assert np.allclose(ratios, math.log(1e6) / 59)
    assert len(finder.rates) < 60  # it ended when the loss ran away
    assert finder.losses[-1] <= 4 * min(finder.losses)
    assert 1e-3 < finder.suggestion < 1
    assert trainer.optimizer.param_groups[0]["lr"] == finder.suggestion
    figure = finder.figure()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"


def test_a_search_that_finds_nothing():
    finder = LRFinder(steps=10, apply=True)
    with pytest.raises(ValueError, match="nothing was tried yet"):
        finder.figure()
    trainer = make([finder], nn.Linear(3, 1), lambda output, target: (output * 0).sum())
    trainer.fit(loader())
    assert finder.suggestion is None
    assert trainer.optimizer.param_groups[0]["lr"] == 0.05
    with pytest.raises(ValueError, match="expected 0 < lowest < highest"):
        LRFinder(1.0, 0.1)
    with pytest.raises(ValueError, match="steps = 3, expected a whole number, 10 or more"):
        LRFinder(steps=3)


@pytest.mark.parametrize("callback", [LRFinder(), OverfitOneBatch()])
def test_searches_leave_iterators_alone(callback):
    """They would use up what the training is to see."""
    x, y = data().tensors
    batches = ((x, y) for _ in range(3))
    with pytest.raises(ValueError, match="train_loader is a generator, which yields its batches once"):
        make([callback]).fit(batches)
    assert len(list(batches)) == 3


def test_a_batch_learned_by_heart():
    x = minigrad.randn(20, 3)
    batches = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), 10)
    check = OverfitOneBatch(samples=8, steps=300, metric=Accuracy())
    model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 2))
    trainer = make([check], model, nn.CrossEntropyLoss())
    trainer.fit(batches)
    assert check.passed
    assert 1 <= check.steps_taken <= 300
    assert check.last_loss < check.first_loss
    assert trainer.step == 2


def test_a_batch_that_cannot_be_learned():
    check = OverfitOneBatch(samples=8, steps=5)
    constant = make([check], nn.Linear(3, 1), lr=0.0)
    before = weights(constant.model)
    with pytest.raises(OverfitError, match="8 samples were not learned in 5 steps: the loss went from") as caught:
        constant.fit(loader())
    assert "OverfitOneBatch in on_fit_start" in caught.value.__notes__[0]
    assert weights(constant.model) == before
    optional = OverfitOneBatch(samples=8, steps=5, required=False)
    constant = make([optional], nn.Linear(3, 1), lr=0.0)
    constant.fit(loader())
    assert optional.passed is False


@pytest.mark.parametrize("callback", [LRFinder(steps=50), OverfitOneBatch(steps=50, loss_share=0.0)])
def test_ctrl_c_ends_a_search_and_the_fit(callback):
    trainer = make([callback])
    count = 0
    update = trainer.update

    def interrupted_update(batch):
        nonlocal count
        count += 1
        if count == 5:
            trainer._interrupt()
        return update(batch)

    trainer.update = interrupted_update
    assert trainer.fit(loader()) == []
    assert (count, trainer.interrupted, trainer.step) == (5, True, 0)


# ---------------------------------------------------------------------------------------------------------- tables


def test_a_table_of_the_history(tmp_path):
    class Times(Callback):
        def on_epoch_end(self, trainer):
            trainer.log("seconds", 0.5, performance=True)

    path = tmp_path / "new" / "history.csv"
    everything = tmp_path / "all.csv"
    lengths = []

    class Reads(Callback):
        order = 50

        def on_epoch_end(self, trainer):
            lengths.append(len(path.read_text().splitlines()))

    logger = CSVLogger(path)
    trainer = make([Reads(), logger, CSVLogger(everything, performance=True), Times()])
    history = trainer.fit(loader(), loader(), epochs=2)
    with open(path, newline="") as file:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert rows == history
    assert lengths == [2, 3]
    with open(everything, newline="") as file:
        assert [row["seconds"] for row in csv.DictReader(file)] == ["0.5", "0.5"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.csv", "new"]


def test_a_run_logs_the_figures(tmp_path):
    with Run(tmp_path, "base", {}) as run:
        trainer = make([RunLogger(run, every=1, model_input=minigrad.ones(2, 3))], metrics={"count": Accuracy()})
        history = trainer.fit(loader(), loader(), epochs=2)
    assert run.history == history
    assert run.status == "finished"
    assert list((run.folder / "tensorboard" / "batches").glob("events.*"))


def test_a_run_tells_of_an_early_end(tmp_path, capsys):
    with Run(tmp_path, "base", {}) as run:
        fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=1), RunLogger(run))
    assert run.notices == [
        "Ended in epoch 2 of 3: figure has not improved on 1 of epoch 1 for an epoch (EarlyStopping)."
    ]


def test_tensorboard_logs(tmp_path):
    logger = TensorBoardLogger(tmp_path, every=1, model_input=minigrad.ones(2, 3), hparams={"lr": 0.05})
    make([logger]).fit(loader(), loader(), epochs=2)
    assert {p.parent.name for p in tmp_path.rglob("events.*")} == {tmp_path.name, "batches", "hparams"}

    class Fails(Callback):
        def on_epoch_end(self, trainer):
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        make([TensorBoardLogger(tmp_path / "again"), Fails()]).fit(loader())


def test_progress_without_a_terminal(capsys):
    make([ProgressBar()]).fit(loader(), loader(), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2: loss ")
    assert "val_loss" in lines[0]
    fit_with([1, 2, 3], EarlyStopping("figure", mode="min", patience=1), ProgressBar("round"))
    assert (
        capsys.readouterr().out.splitlines()[-1].startswith("Stopped after epoch 2, batch 2: figure has not improved")
    )


def test_progress_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("minigrad.training.callbacks.progress_bar._DRAW_EVERY", 0.0)
    make([ProgressBar()]).fit(loader(), loader(), epochs=2)
    drawn = capsys.readouterr()
    assert drawn.out == ""
    assert "epoch 2/2: 100%" in drawn.err
    assert "val_loss" in drawn.err
