"""Going on: a training that was interrupted, however and whenever, ends bit for bit as one that was not."""

from __future__ import annotations

import copy
import signal

import numpy as np
import pytest
from resumable import data, net
from resume_support import Training, interrupting, resumed, uninterrupted

import minigrad
from minigrad import nn
from minigrad.runs import Run
from minigrad.training import AUC, Accuracy, Callback, Trainer, load_checkpoint
from minigrad.training.callbacks import (
    CancelEpoch,
    CancelFit,
    CSVLogger,
    RunLogger,
)
from minigrad.training.checkpoint import checkpoints_in
from minigrad.utils.data import DataLoader


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of three epochs without interruption, and the folder with a checkpoint of each step."""
    folder = tmp_path_factory.mktemp("whole")
    return uninterrupted(folder, every_steps=1, keep=99), folder


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
