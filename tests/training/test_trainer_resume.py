"""Going on: a training that was interrupted, however and whenever, ends bit for bit as one that was not."""

from __future__ import annotations

import copy
import random
import signal
import warnings

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.runs import Run
from minigrad.training import AUC, Accuracy, Callback, Trainer, load_checkpoint
from minigrad.training.callbacks import (
    CancelEpoch,
    CancelFit,
    CSVLogger,
    EarlyStopping,
    LearningRateMonitor,
    LRSchedule,
    ModelCheckpoint,
    RunLogger,
)
from minigrad.training.checkpoint import checkpoints_in
from minigrad.utils.data import DataLoader
from tests.resumable import Jittered, data, net


class Training:
    """Everything made anew, as in another process."""

    def __init__(
        self, folder, *more, every_steps=None, schedule=None, interval="batch", monitor=None, keep=2, patience=9
    ):
        minigrad.manual_seed(7)
        random.seed(7)
        self.model = net()
        self.optimizer = minigrad.optim.Adam(self.model.parameters(), lr=0.05)
        self.stopping = EarlyStopping("val_loss", patience=patience)
        self.checkpoints = ModelCheckpoint(folder, "val_auc", every_epochs=2, every_steps=every_steps, keep=keep)
        self.schedule = None if schedule is None else schedule(self.optimizer)
        schedules = [] if self.schedule is None else [LRSchedule(self.schedule, interval, monitor)]
        self.trainer = Trainer(
            self.model,
            nn.BCEWithLogitsLoss(),
            self.optimizer,
            {"accuracy": Accuracy(), "auc": AUC()},
            [*schedules, self.stopping, LearningRateMonitor(), self.checkpoints, *more],
        )
        self.loader = DataLoader(Jittered(), 4, shuffle=True)
        self.order = minigrad.Generator().manual_seed(7)
        self.val_loader = DataLoader(data(9), 4, shuffle=True, generator=self.order)

    def fit(self, epochs=3, resume=None):
        return self.trainer.fit(self.loader, self.val_loader, epochs, resume)

    def outcome(self):
        """All that must be equal."""
        return {
            "weights": {name: t.numpy().tobytes() for name, t in self.model.state_dict().items()},
            "optimizer": [
                {k: v.numpy().tobytes() if hasattr(v, "numpy") else v for k, v in kept.items()}
                for kept in self.optimizer.state_dict()["state"].values()
            ],
            "groups": self.optimizer.state_dict()["param_groups"],
            "history": self.trainer.history,
            "step": self.trainer.step,
            "stopped": self.trainer.stopped,
            "best": (self.stopping.best.state_dict(), self.stopping.waited, self.checkpoints.best.state_dict()),
            "schedule": None if self.schedule is None else list(self.schedule.get_last_lr()),
            "random": (minigrad.get_rng_state(), random.getstate(), float(np.random.rand())),
        }


def uninterrupted(folder, *more, epochs=3, **settings):
    np.random.seed(3)
    training = Training(folder, *more, **settings)
    training.fit(epochs)
    return training.outcome()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of three epochs without interruption, and the folder with a checkpoint of each step."""
    folder = tmp_path_factory.mktemp("whole")
    return uninterrupted(folder, every_steps=1, keep=99), folder


def interrupting(event, step, act=lambda trainer: signal.raise_signal(signal.SIGINT), order=0):
    """A callback that does something at an event once, at a number of updates; by default, it presses Ctrl-C."""

    done = []

    def heard(self, trainer):
        if trainer.step == step and not trainer.resumed and not done:
            done.append(step)
            act(trainer)

    return type("Interrupting", (Callback,), {event: heard, "order": order})()


def resumed(folder, *more, epochs=3, resume=None, **settings):
    training = Training(folder, *more, **settings)
    training.order.manual_seed(99)
    minigrad.manual_seed(99)  # what the process drew by itself must not matter
    random.seed(99)
    np.random.seed(99)
    training.fit(epochs, folder if resume is None else resume)
    return training.outcome()


# --------------------------------------------------------------------------------------------- Ctrl-C, in one process


@pytest.mark.parametrize("step", range(1, 13))
def test_ctrl_c_after_any_step(tmp_path, whole, step):
    np.random.seed(3)
    first = Training(tmp_path / "a", interrupting("on_batch_end", step))
    history = first.fit()
    assert first.trainer.interrupted
    assert len(history) == (step - 1) // 4
    assert first.trainer.step == step
    assert checkpoints_in(tmp_path / "a")[-1].name == f"step-{step:08d}.safetensors"
    assert resumed(tmp_path / "a") == whole[0]


@pytest.mark.parametrize(
    "event",
    [
        "on_epoch_start",
        "on_batch_start",
        "on_before_step",
        "on_validation_start",
        "on_validation_batch_end",
        "on_epoch_end",
    ],
)
@pytest.mark.parametrize("order", [-1, 99])
def test_ctrl_c_in_any_event(tmp_path, whole, event, order):
    np.random.seed(3)
    first = Training(tmp_path / "a", interrupting(event, 4, order=order))
    first.fit()
    assert first.trainer.interrupted
    assert first.trainer.step in (4, 5)
    assert resumed(tmp_path / "a") == whole[0]


def test_interrupted_again_and_again(tmp_path, whole):
    np.random.seed(3)
    folder = tmp_path / "a"
    for step in (1, 2, 5, 8, 11):

        class Stops(Callback):
            def on_batch_end(self, trainer, step=step):
                if trainer.step == step:
                    signal.raise_signal(signal.SIGINT)

        training = Training(folder, Stops(), every_steps=3)
        training.fit(resume=folder if step > 1 else None)
        assert training.trainer.step == step
    assert resumed(folder, every_steps=3) == whole[0]


@pytest.mark.parametrize("late", [False, True])
def test_ctrl_c_in_the_epoch_that_ends_the_training_anyway(tmp_path, late):
    """Early stopping decides in the same event: the resumed training must not go on where the other one ended."""
    expected = uninterrupted(tmp_path / "whole", patience=1, epochs=30)
    assert "EarlyStopping" in expected["stopped"]
    last = expected["step"]
    np.random.seed(3)
    event = interrupting("on_epoch_end" if late else "on_validation_start", last, order=50 if late else 0)
    first = Training(tmp_path / "a", event, patience=1)
    first.fit(30)
    assert not first.trainer.interrupted
    assert first.outcome()["weights"] == expected["weights"]
    assert resumed(tmp_path / "a", patience=1, epochs=30) == {**expected, "random": resumed_random(tmp_path / "a")}


def resumed_random(folder):
    training = Training(folder, patience=1)
    training.fit(30, folder)
    return training.outcome()["random"]


def test_a_second_ctrl_c_ends_it_at_once(tmp_path, whole):
    def twice(trainer):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    training = Training(tmp_path, interrupting("on_before_backward", 5, twice), every_steps=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        training.fit()
    assert "Interrupting in on_before_backward (epoch 2, batch 2, step 5)" in caught.value.__notes__[0]
    assert training.trainer.step == 5
    kept = minigrad.load(tmp_path / "after-error.safetensors")
    assert all(np.array_equal(kept[name].numpy(), t.numpy()) for name, t in training.model.state_dict().items())
    assert resumed(tmp_path, every_steps=2)["weights"] == whole[0]["weights"]


def test_the_handler_of_before_comes_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    Training(tmp_path, interrupting("on_fit_start", 0)).fit()
    assert signal.getsignal(signal.SIGINT) is before


# ------------------------------------------------------------------------------------- other places to go on from


@pytest.mark.parametrize("step", [1, 4, 7, 8])
def test_from_any_checkpoint_and_not_only_the_last(tmp_path, whole, step):
    expected, folder = whole
    assert resumed(tmp_path, resume=folder / f"step-{step:08d}.safetensors") == expected


def test_from_a_state_in_memory(tmp_path, whole):
    states = []
    np.random.seed(3)
    first = Training(
        tmp_path / "a", interrupting("on_batch_end", 6, lambda t: states.append(copy.deepcopy(t.state_dict())), 99)
    )
    first.fit()
    assert first.outcome() == whole[0]
    assert resumed(tmp_path / "b", resume=states[0]) == whole[0]


def test_the_same_trainer_goes_on(tmp_path, whole):
    """In a notebook, say: interrupted, and then fitted again with the same objects."""
    np.random.seed(3)
    training = Training(tmp_path, interrupting("on_batch_end", 6))
    training.fit()
    minigrad.rand(7)
    minigrad.nn.init.zeros_(training.model[0].weight)
    training.fit(resume=tmp_path)
    assert training.outcome() == whole[0]


def test_figures_logged_in_the_epoch_are_not_lost(tmp_path):
    class Logs(Callback):
        def on_batch_end(self, trainer):
            if trainer.batch_index == 2:
                trainer.log("second", trainer.loss)
                trainer.log("memory", 1.0, performance=True)

    expected = uninterrupted(tmp_path / "whole", Logs())
    np.random.seed(3)
    Training(tmp_path / "a", Logs(), interrupting("on_batch_end", 7)).fit()
    assert resumed(tmp_path / "a", Logs()) == expected
    assert len([row for row in expected["history"] if "second" in row]) == 3
    again = Training(tmp_path / "a", Logs())
    again.fit(resume=tmp_path / "a")
    assert again.trainer.performance_history == [{"epoch": n, "memory": 1.0} for n in (1, 2, 3)]


def test_a_state_for_evaluation_alone(tmp_path):
    """Without loaders and optimizer the place in the epoch does not matter."""
    training = Training(tmp_path, interrupting("on_batch_end", 6))
    training.fit()
    state = load_checkpoint(tmp_path)
    state["callbacks"] = {}
    alone = Trainer(net(), nn.BCEWithLogitsLoss(), metrics={"accuracy": Accuracy(), "auc": AUC()})
    alone.load_state_dict(state)
    assert (alone.epoch, alone.step) == (2, 6)
    assert alone.evaluate(DataLoader(data(9), 4)) == training.trainer.evaluate(DataLoader(data(9), 4))


@pytest.mark.parametrize("how", ["epoch", "batch"])
def test_an_epoch_that_was_cut_short(tmp_path, how):
    """After CancelEpoch the loader stands in the middle of an order that nobody wants to go on with."""

    class Cuts(Callback):
        def on_batch_start(self, trainer):
            if trainer.epoch == 2 and trainer.batch_index == 3:
                raise CancelEpoch

    settings = {"every_steps": None if how == "epoch" else 1}
    expected = uninterrupted(tmp_path / "whole", Cuts(), **settings)
    np.random.seed(3)
    first = Training(tmp_path / "a", Cuts(), interrupting("on_epoch_end", 6), **settings)
    first.fit()
    assert resumed(tmp_path / "a", Cuts(), **settings) == expected


def test_a_fit_that_was_cancelled_in_its_validation(tmp_path):
    """All batches of the epoch are done: its training must not be run again."""

    def cancel(trainer):
        raise CancelFit

    first = Training(tmp_path, interrupting("on_validation_start", 4, cancel))
    first.fit()
    state = load_checkpoint(tmp_path)
    assert state["position"] == {
        "epoch": 1,
        "batch_index": 4,
        "step": 4,
        "inside_epoch": True,
        "batches_done": True,
        "stopped": "cancelled",
    }
    state["position"]["stopped"] = None
    again = Training(tmp_path)
    again.fit(1, state)
    assert again.trainer.step == 4
    assert [row["epoch"] for row in again.trainer.history] == [1]


def test_a_training_that_is_done_is_not_begun_again(tmp_path):
    expected = uninterrupted(tmp_path / "whole")
    again = Training(tmp_path / "whole")
    assert again.fit(resume=tmp_path / "whole") == expected["history"]
    assert again.outcome()["weights"] == expected["weights"]  # those of the best epoch, as at the end of the first fit
    stopped = uninterrupted(tmp_path / "stopped", patience=1, epochs=30)
    again = Training(tmp_path / "stopped", patience=1)
    again.fit(30, tmp_path / "stopped")
    assert again.trainer.stopped == stopped["stopped"]
    assert again.outcome()["weights"] == stopped["weights"]


def test_more_epochs_than_at_first(tmp_path):
    """The best weights were put back at the end of the first fit, but the training goes on from the last ones."""
    expected = uninterrupted(tmp_path / "whole", epochs=5)
    np.random.seed(3)
    Training(tmp_path / "a").fit(3)
    assert resumed(tmp_path / "a", epochs=5) == expected


def test_the_best_begins_anew_in_another_fit_but_not_on_resuming(tmp_path):
    training = Training(tmp_path / "a")
    training.fit(2)
    best = training.stopping.best.state_dict()
    again = Training(tmp_path / "a")
    again.fit(2, tmp_path / "a")
    assert again.stopping.best.state_dict() == best
    fresh = Training(tmp_path / "b")
    fresh.stopping.best.value = -1.0
    fresh.fit(2)
    assert fresh.stopping.best.state_dict() == best


def test_no_warning_of_schedulers_on_resuming_at_the_end_of_the_first_epoch(tmp_path):
    def schedule(optimizer):
        return lr_scheduler.StepLR(optimizer, 1)

    Training(tmp_path, interrupting("on_batch_end", 4), schedule=schedule, interval="epoch").fit()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Training(tmp_path, schedule=schedule, interval="epoch").fit(resume=tmp_path)


# -------------------------------------------------------------------------------------------------------- schedules


class Decay:
    """A function of the epoch that remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.9**epoch / (1 + 0.01 * self.calls)


def warm_up(optimizer):
    return lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, total_iters=3),
            lr_scheduler.MultiStepLR(optimizer, [2, 2, 4], gamma=0.5),
            lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2),
        ],
        milestones=[4, 9],
    )


SCHEDULES = {
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.9**epoch),
    "object": lambda o: lr_scheduler.LambdaLR(o, Decay()),
    "step": lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5),
    "milestones": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5, 8], gamma=0.5),
    "constant": lambda o: lr_scheduler.ConstantLR(o, 0.5, total_iters=4),
    "linear": lambda o: lr_scheduler.LinearLR(o, total_iters=6),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 5, eta_min=1e-4),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2, 2),
    "triangular2": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 5e-2, 2, mode="triangular2"),
    "own cycle": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 5e-2, 2, scale_fn=Decay(), cycle_momentum=False),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.05, total_steps=13, three_phase=True),
    "sequence": warm_up,
}


@pytest.mark.parametrize("step", [3, 8])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on_from_a_file(tmp_path, name, step):
    expected = uninterrupted(tmp_path / "whole", schedule=SCHEDULES[name])
    np.random.seed(3)
    Training(tmp_path / "a", interrupting("on_batch_end", step), schedule=SCHEDULES[name]).fit()
    assert resumed(tmp_path / "a", schedule=SCHEDULES[name]) == expected


@pytest.mark.parametrize("name", ["step", "sequence"])
def test_schedules_per_epoch_go_on(tmp_path, name):
    settings = {"schedule": SCHEDULES[name], "interval": "epoch", "epochs": 6}
    expected = uninterrupted(tmp_path / "whole", **settings)
    np.random.seed(3)
    del settings["epochs"]
    Training(tmp_path / "a", interrupting("on_batch_end", 10), **settings).fit(6)
    assert resumed(tmp_path / "a", epochs=6, **settings) == expected


@pytest.mark.parametrize("step", [5, 11, 17])
def test_reduce_on_plateau_goes_on_in_its_cooldown(tmp_path, step):
    def plateau(optimizer):
        return lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, cooldown=2, factor=0.5, threshold=10.0)

    settings = {"schedule": plateau, "interval": "epoch", "monitor": "val_loss"}
    expected = uninterrupted(tmp_path / "whole", epochs=7, **settings)
    np.random.seed(3)
    Training(tmp_path / "a", interrupting("on_batch_end", step), **settings).fit(7)
    assert resumed(tmp_path / "a", epochs=7, **settings) == expected
    assert expected["groups"][0]["lr"] < 0.05


# ------------------------------------------------------------------------------------------------------ checkpoints


def test_what_stays_in_the_folder(tmp_path):
    (tmp_path / ".minigrad-0123.tmp").write_bytes(b"a save that was killed")
    training = Training(tmp_path, every_steps=3, keep=3)
    training.fit()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best.safetensors",
        "step-00000008.safetensors",
        "step-00000009.safetensors",
        "step-00000012.safetensors",
    ]
    best = minigrad.load(training.checkpoints.best_weights)
    assert set(best) == set(training.model.state_dict())


def test_newer_checkpoints_go_where_the_training_went_back(tmp_path):
    """Else the next resumption would take one of a future that was left."""
    Training(tmp_path, every_steps=1, keep=99).fit()
    again = Training(tmp_path, every_steps=1, keep=3)
    place = tmp_path / "step-00000005.safetensors"

    class Stops(Callback):
        def on_batch_end(self, trainer):
            trainer.stop("enough")

    again.trainer.callbacks.append(Stops())
    again.fit(resume=place)
    assert [p.name for p in checkpoints_in(tmp_path)] == [f"step-{n:08d}.safetensors" for n in (4, 5, 6)]


def test_the_checkpoints_of_another_training_are_left_alone(tmp_path):
    Training(tmp_path).fit(1)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    training = Training(tmp_path)
    with pytest.raises(FileExistsError, match=r"holds the checkpoints of another training \(step-00000004"):
        training.fit(1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert training.trainer.step == 0


def test_a_metric_that_is_nan_stops_no_checkpoints(tmp_path):
    class Sometimes(Callback):
        def on_validation_end(self, trainer):
            trainer.log("figure", [np.nan, 0.5, np.nan, 0.75][trainer.epoch - 1])

        def log_names(self):
            return ("figure",)

    training = Training(tmp_path, every_steps=None, keep=9)
    checkpoints = ModelCheckpoint(tmp_path, "figure", mode="min", keep=9)
    training.trainer.callbacks = [checkpoints, Sometimes()]
    with pytest.warns(UserWarning, match=r"figure is NaN after epoch [13], so this epoch cannot become the best one"):
        training.fit(4)
    assert (checkpoints.best.value, checkpoints.best.epoch) == (0.5, 2)
    assert len(checkpoints_in(tmp_path)) == 4


def test_a_loader_that_cannot_tell_its_place(tmp_path):
    """Checkpoints at the ends of epochs work, one inside an epoch is refused or left out, with a word on it."""
    batches = list(DataLoader(data(), 4))

    def make(*more, **settings):
        training = Training(tmp_path / "a", *more, **settings)
        training.loader = batches
        return training

    with pytest.raises(ValueError, match="every_steps = 1 needs a train_loader that can tell its place"):
        make(every_steps=1).fit()
    whole = Training(tmp_path / "whole")
    whole.loader = batches
    np.random.seed(3)
    whole.fit(4)
    expected = whole.outcome()
    np.random.seed(3)
    with pytest.warns(UserWarning, match="ended inside epoch 3, and train_loader .list. cannot tell its place"):
        make(interrupting("on_batch_end", 10)).fit(4)
    assert [p.name for p in checkpoints_in(tmp_path / "a")] == ["step-00000008.safetensors"]
    again = make(every_steps=None)
    again.fit(4, tmp_path / "a")
    assert again.outcome() == expected


def test_tables_and_runs_go_on(tmp_path):
    """CSV files byte for byte, also where rows were written behind the checkpoint."""

    def once(folder, interrupted_at=None, again=None):
        run = Run(folder, "base", {}) if again is None else Run.resume(again, {})
        with run:
            more = [CSVLogger(folder / "table.csv"), RunLogger(run, every=1)]
            if interrupted_at is not None:
                more.append(interrupting("on_batch_end", interrupted_at))
            training = Training(run.checkpoints, *more)
            training.fit(4, None if again is None else run.checkpoints)
        return run, (folder / "table.csv").read_bytes(), (run.folder / "history.csv").read_bytes()

    run, *expected = once(tmp_path / "whole")
    assert run.status == "finished"
    first, *_ = once(tmp_path / "a", interrupted_at=10)
    assert first.status == "interrupted"
    assert "Stopped by Ctrl-C in epoch 3 after batch 2" in first.notices[0]
    (first.folder / "history.csv").write_text("rows of after the checkpoint\n")
    (first.folder / ".history.csv-0123.tmp").write_text("half a tab")
    second, *found = once(tmp_path / "a", again=first.folder)
    assert second.status == "finished"
    assert found == expected
    assert not list(first.folder.glob(".*.tmp"))
    with pytest.raises(ValueError, match="is finished; there is nothing to go on with"):
        Run.resume(first.folder, {})


def test_another_number_of_threads_is_warned_of(tmp_path):
    Training(tmp_path).fit(epochs=1)
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(1)
    try:
        state = {**load_checkpoint(tmp_path), "threads": 2}
        with pytest.warns(UserWarning, match="written on 2 threads and goes on on 1"):
            Training(tmp_path).fit(epochs=2, resume=state)
    finally:
        minigrad.set_num_threads(before)
