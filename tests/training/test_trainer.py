"""The Trainer's loop: what a loop written by hand would do, with events in a fixed order that can be cancelled."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np
import pytest
from loop_support import make, when
from small_training import data, net, weights

import minigrad
from minigrad import nn
from minigrad.training import Accuracy, Callback, Mean, Metric
from minigrad.training.callbacks import CancelBatch
from minigrad.utils.data import DataLoader


def test_the_fit_is_the_loop_written_by_hand():
    """Weights, losses and metrics bit for bit, also with a shorter last batch."""
    minigrad.kernels.load()  # as fit does
    train, val = data(22), data(10, seed=2)
    model = net()
    optimizer = minigrad.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    criterion = nn.MSELoss()
    expected = []
    minigrad.manual_seed(5)
    train_loader, val_loader = DataLoader(train, 4, shuffle=True), DataLoader(val, 4)
    for epoch in (1, 2, 3):
        model.train()
        total = right = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            output = model(x)
            loss = criterion(output, y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
            right += ((output > 0) == (y > 0.5)).sum().item()
        row = {"epoch": epoch, "loss": total / 22, "accuracy": right / 22}
        model.eval()
        total = right = 0.0
        with minigrad.no_grad():
            for x, y in val_loader:
                output = model(x)
                total += criterion(output, y).item() * len(x)
                right += ((output > 0) == (y > 0.5)).sum().item()
        expected.append({**row, "val_loss": total / 10, "val_accuracy": right / 10})

    trainer = make(metrics={"accuracy": Accuracy()})
    minigrad.manual_seed(5)
    history = trainer.fit(DataLoader(train, 4, shuffle=True), DataLoader(val, 4), epochs=3)
    assert history == expected
    assert history is trainer.history
    assert weights(trainer.model) == weights(model)
    assert (trainer.step, trainer.epoch, trainer.batch_index, trainer.batches) == (18, 3, 6, 6)
    assert trainer.model.training  # as a loop by hand leaves it


def test_summed_losses_are_means_over_samples_too():
    """The same weights (without an update) give the same figure for both reductions, with a shorter last batch."""
    figures = []
    for reduction in ("mean", "sum"):
        trainer = make(criterion=nn.MSELoss(reduction=reduction), model=nn.Linear(3, 1), lr=0.0)
        trainer.model.weight.data.fill_(0.5)
        trainer.model.bias.data.fill_(0.0)
        (row,) = trainer.fit(DataLoader(data(), 6), DataLoader(data(), 7))
        figures += [row["loss"], row["val_loss"], trainer.evaluate(DataLoader(data(), 3))["loss"]]
    assert figures == pytest.approx([figures[0]] * 6)


def test_several_inputs_and_outputs_and_targets_of_any_kind():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, a, b):
            return self.first(a), self.second(b)

    def criterion(outputs, target):
        assert target["names"] == ["u", "v", "w"]
        return sum(((y - target["y"]) ** 2).mean() for y in outputs)

    class Largest(Metric):
        def reset(self):
            self.value = -1.0

        def update(self, output, target):
            self.value = max(self.value, output[1].max().item())

        def compute(self):
            return self.value

    batch = [minigrad.randn(3, 3), minigrad.randn(3, 3), {"y": minigrad.randn(3, 2), "names": ["u", "v", "w"]}]
    trainer = make(model=Two(), criterion=criterion, metrics={"largest": Largest()})
    history = trainer.fit([batch, batch], [batch], epochs=3)
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "largest", "val_loss", "val_largest"}
    assert trainer.meters[""]["loss"].count == 6  # the samples of the first tensor, where the target is none
    first, second = trainer.predict([[*batch[:2], None], batch])
    assert tuple(first.shape) == tuple(second.shape) == (6, 2)
    assert np.array_equal(second.numpy()[:3], second.numpy()[3:])


def test_samples_are_counted_along_the_first_axis_of_the_target():
    """Of sequences (time, N, features) the inputs have another one."""

    class Last(nn.Linear):
        def forward(self, x):
            return super().forward(x[-1])

    trainer = make(model=Last(3, 1))
    trainer.fit([(minigrad.randn(7, 4, 3), minigrad.randn(4, 1)), (minigrad.randn(7, 2, 3), minigrad.randn(2, 1))])
    assert trainer.meters[""]["loss"].count == 6


def test_tensors_in_nested_batches_go_to_the_device():
    trainer = make()
    moved = trainer.to_device([minigrad.ones(1), {"a": minigrad.ones(2), "b": "text"}, (3,)])
    assert isinstance(moved, list)
    assert moved[1]["b"] == "text"
    assert moved[2] == (3,)


def test_the_same_trainer_fitted_twice():
    """The second fit counts and logs anew; weights and optimizer go on."""
    trainer = make()
    first = trainer.fit(DataLoader(data(), 5), epochs=2)
    between = weights(trainer.model)
    begun = []
    trainer.callbacks.append(when("on_epoch_start", lambda t: begun.append((t.step, weights(t.model)))))
    second = trainer.fit(DataLoader(data(), 5), epochs=3)
    assert len(first) == 2
    assert begun == [(0, between)]
    assert [row["epoch"] for row in second] == [1, 2, 3]
    assert trainer.step == 12
    assert len(trainer.optimizer.state) == 6


def test_a_second_fit_after_one_that_was_stopped_inside_an_epoch_begins_with_a_whole_epoch():
    seen = []
    stopping = when("on_batch_end", lambda t: t.stop("enough"), batch=2)
    trainer = make([stopping])
    loader = DataLoader(data(), 5)
    trainer.fit(loader, epochs=2)
    assert (trainer.inside_epoch, trainer.history) == (True, [])
    trainer.callbacks = [when("on_batch_end", lambda t: seen.append(t.batch_index))]
    trainer.fit(loader)
    assert seen == [1, 2, 3, 4]


def test_a_fit_in_a_thread():
    trainer = make()
    thread = threading.Thread(target=trainer.fit, args=(DataLoader(data(), 5), DataLoader(data(), 5), 2))
    thread.start()
    thread.join()
    assert len(trainer.history) == 2


def test_a_loop_by_hand_needs_no_trainer(tmp_path):
    """Metrics, tables and checkpoints work alone."""
    from minigrad.csv_table import write_table
    from minigrad.training import load_checkpoint, save_checkpoint

    model = net()
    optimizer = minigrad.optim.Adam(model.parameters())
    loss_mean, rows = Mean(), []
    for epoch in (1, 2):
        loss_mean.reset()
        for x, y in DataLoader(data(), 6):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            loss_mean.update(loss, len(x))
        rows.append({"epoch": epoch, "loss": loss_mean.compute()})
        write_table(tmp_path / "history.csv", rows)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "rows": rows}
    save_checkpoint(state, tmp_path / "mine.safetensors")
    assert (tmp_path / "history.csv").read_text().splitlines()[0] == "epoch,loss"

    loaded = load_checkpoint(tmp_path / "mine.safetensors")
    other = net(seed=9)
    other.load_state_dict(loaded["model"])
    minigrad.optim.Adam(other.parameters()).load_state_dict(loaded["optimizer"])
    assert weights(other) == weights(model)
    assert loaded["rows"] == rows


def test_a_long_fit_leaves_no_garbage_and_needs_no_more_memory():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))

    class Looks(Callback):
        sizes = []

        def on_before_backward(self, trainer):
            if trainer.batch_index % 7 == 3:
                raise CancelBatch

        def on_epoch_end(self, trainer):
            self.sizes.append(tracemalloc.get_traced_memory()[0])

    trainer = make([Looks()], {"accuracy": Accuracy()}, model=model)
    loader = DataLoader(data(240), 4, shuffle=True)
    trainer.fit(loader, loader)  # whatever is made once
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        trainer.fit(loader, DataLoader(data(8), 4), epochs=10)
        assert gc.collect() == 0
    finally:
        tracemalloc.stop()
        gc.enable()
    assert trainer.step > 500
    assert Looks.sizes[-1] - Looks.sizes[3] < 20_000  # bytes; the rows of history are most of it
