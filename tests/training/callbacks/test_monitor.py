"""Callbacks that look: their figures against sums by hand, what they write, and that a resumed run has the same."""

from __future__ import annotations

import types

import numpy as np
import pytest
from events import values
from monitor_support import (
    BATCHES,
    COUNTS,
    Witness,
    data,
    everything,
    fit,
    judged,
    trainer_with,
)

import minigrad
from minigrad import optim, plot
from minigrad.runs import Run
from minigrad.training import Callback, load_checkpoint, save_checkpoint
from minigrad.training.callbacks import (
    ActivationMonitor,
    ConfusionMatrix,
    EarlyStopping,
    ExamplePredictions,
    GradientMonitor,
    Order,
    TensorBoardLogger,
    WeightMonitor,
)
from minigrad.utils.data import DataLoader
from minigrad.utils.tensorboard import SummaryWriter


def test_pictures_are_drawn_at_the_end_and_as_often_as_asked(tmp_path, monkeypatch):
    drawn = []

    def predictions(images, true, predicted, names=None, confidence=None, limit=24):
        drawn.append((len(images), names, limit))
        return "figure"

    monkeypatch.setattr(plot, "predictions", predictions)
    monkeypatch.setattr(plot, "confusion_matrix", lambda counts, names: drawn.append((counts.tolist(), names)))
    written = []
    writer = types.SimpleNamespace(add_scalar=None, add_figure=lambda tag, figure, step: written.append((tag, step)))
    names = ["a", "b", "c"]
    judged(ConfusionMatrix(names, writer), ExamplePredictions(names, writer, count=5), epochs=3)
    assert written == [("confusion_matrix", 3), ("predictions", 3)]
    assert drawn == [(COUNTS, names), (5, names, 5)]
    written.clear()
    judged(ConfusionMatrix(names, writer, every=2), ExamplePredictions(writer=writer, every=1), epochs=3)
    assert [w for w in written if w[0] == "confusion_matrix"] == [("confusion_matrix", 2), ("confusion_matrix", 3)]
    assert [step for tag, step in written if tag == "predictions"] == [1, 2, 3]
    written.clear()
    drawn.clear()
    judged(ConfusionMatrix(), ExamplePredictions())
    assert (written, drawn) == ([], [])


def test_pictures_reach_tensorboard(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        judged(ConfusionMatrix(writer=writer), ExamplePredictions(writer=writer, count=4))
    found = {tag: value.image for tag, _, value in values(tmp_path)}
    assert set(found) == {"confusion_matrix", "predictions"}
    assert all(image.height > 100 and image.width > 100 for image in found.values())


def test_what_they_write_can_be_read_back(tmp_path):
    witness = Witness()
    with SummaryWriter(tmp_path) as writer:
        callbacks = everything(writer)[2:5]
        trainer = fit(witness, *callbacks)
    read = {(tag, step): value for tag, step, value in values(tmp_path)}
    names = [name for name, _ in trainer.model.named_parameters()]
    gradients, weights, activations = callbacks
    for epoch in (1, 2):
        for name in names:
            histogram = read[f"gradients/{name}", epoch].histo
            first = witness.gradients[epoch - 1][0][name]
            assert (histogram.num, histogram.sum) == (first.size, pytest.approx(first.sum(), abs=1e-6))
            kept = gradients.history[epoch - 1]["layers"][name]
            assert read[f"gradient_norm/{name}", epoch].simple_value == pytest.approx(kept["norm"], rel=1e-6)
            assert read[f"weights/{name}", epoch].histo.num == first.size
            change = weights.history[epoch - 1]["layers"][name]["change"]
            assert read[f"weight_change/{name}", epoch].simple_value == pytest.approx(change, rel=1e-6)
        layers = activations.history[epoch - 1]["layers"]
        assert read["activations/0", epoch].histo.num == 6 * 3 * 2 * 2
        assert read["dead/1", epoch].simple_value == pytest.approx(layers["1"]["dead"], rel=1e-6)
        assert read["saturated/4", epoch].simple_value == pytest.approx(layers["4"]["saturated"], rel=1e-6)
    assert len(read) == 2 * (4 * len(names) + 5 + 2)


def test_a_writer_may_be_a_run_or_a_logger(tmp_path):
    with Run(tmp_path, "lab", {}) as run:
        monitor = WeightMonitor(run)
        assert not (run.folder / "tensorboard").exists()  # opened when there is something to write
        fit(monitor, epochs=1)
    assert ("weight_change/5.bias", 1) in [(tag, step) for tag, step, _ in values(run.folder / "tensorboard")]
    logger = TensorBoardLogger(tmp_path / "logs", every=0)
    fit(logger, WeightMonitor(logger), epochs=1)
    assert "weight_change/5.bias" in [tag for tag, _, _ in values(tmp_path / "logs")]


def test_they_change_nothing_of_the_training():
    bare = fit()
    watched = fit(*everything())
    for row, alone in zip(watched.history, bare.history, strict=True):
        assert alone.items() <= row.items()
    for (name, p), (_, q) in zip(watched.model.named_parameters(), bare.model.named_parameters(), strict=True):
        assert np.array_equal(p.detach().numpy(), q.detach().numpy()), name
    assert all(m._hooks is None for m in watched.model.modules())


@pytest.mark.parametrize("step", [BATCHES + 3, BATCHES])
def test_a_resumed_run_has_the_same_history(tmp_path, step):
    """From a checkpoint inside the second epoch, and from one between the two."""

    class Save(Callback):
        order = Order.SAVE

        def on_batch_end(self, trainer):
            if trainer.step == step == BATCHES + 3:
                save_checkpoint(trainer.state_dict(), tmp_path / "checkpoint")

        def on_epoch_end(self, trainer):
            if trainer.step == step == BATCHES:
                save_checkpoint(trainer.state_dict(), tmp_path / "checkpoint")

    straight = everything()
    whole = fit(Save(), *straight, epochs=3, rule=optim.Adam, lr=0.01)
    again = everything()
    resumed = trainer_with(Save(), *again, rule=optim.Adam, lr=0.01)
    loaders = DataLoader(data(), 8, shuffle=True), DataLoader(data(20, 1), 8)
    resumed.fit(*loaders, 3, resume=load_checkpoint(tmp_path / "checkpoint"))
    assert resumed.history == whole.history
    assert [r["epoch"] for r in resumed.performance_history] == [1, 2, 3]
    for one, other in zip(straight, again, strict=True):
        assert getattr(one, "history", None) == getattr(other, "history", None)
        assert getattr(one, "verdicts", None) == getattr(other, "verdicts", None)
    assert straight[5].counts.tolist() == again[5].counts.tolist()
    for figure in ("images", "true", "predicted", "epoch"):
        assert np.array_equal(getattr(straight[6], figure), getattr(again[6], figure))


def test_a_state_has_its_keys_from_the_start_and_can_be_saved(tmp_path):
    callbacks = everything()
    before = [callback.state_dict() for callback in callbacks]
    assert [bool(state) for state in before] == [True, False, True, True, True, True, False]
    fit(*callbacks)
    for callback, fresh, state in zip(callbacks, everything(), before, strict=True):
        after = callback.state_dict()
        assert after.keys() == state.keys()
        minigrad.save(after, tmp_path / "state")
        fresh.load_state_dict(minigrad.load(tmp_path / "state"))
        assert repr(fresh.state_dict()) == repr(after)


def test_a_state_is_a_snapshot():
    taken, callbacks = [], everything()

    class Keep(Callback):
        order = Order.SAVE

        def on_epoch_end(self, trainer):
            states = [callback.state_dict() for callback in callbacks]
            taken.append((states, repr(states)))

    fit(Keep(), *callbacks)
    states, text = taken[0]
    assert repr(states) == text


def test_a_new_fit_begins_with_an_empty_history():
    callbacks = everything()
    trainer = fit(*callbacks)
    callbacks[2].verdicts.append("of the first fit")
    trainer.fit(DataLoader(data(), 8), DataLoader(data(20, 1), 8), 1)
    assert [len(callback.history) for callback in callbacks[2:5]] == [1, 1, 1]
    assert callbacks[2].verdicts == []
    trainer.fit(DataLoader(data(), 8), None, 1)
    assert (callbacks[5].counts, callbacks[6].images) == (None, None)


def test_others_may_monitor_their_figures():
    for monitor in ("grad_norm", "weight_change", "update_ratio", "saturated", "dead", "epoch_seconds", "rss_mib"):
        trainer = fit(*everything(), EarlyStopping(monitor, patience=5, mode="min"), epochs=1)
        assert len(trainer.history) == 1


def test_wrong_settings_are_refused():
    for kind in (GradientMonitor, WeightMonitor, ConfusionMatrix, ExamplePredictions):
        with pytest.raises(TypeError, match=f"{kind.__name__}: writer is 'logs', expected a SummaryWriter, a Run"):
            kind(writer="logs")
        with pytest.raises(ValueError, match=f"{kind.__name__}: every = 0, expected a whole number, 1 or more"):
            kind(every=0)
    with pytest.raises(TypeError, match="ActivationMonitor: batch is a str"):
        ActivationMonitor("batch")
    with pytest.raises(TypeError, match="ActivationMonitor: writer is 1"):
        ActivationMonitor(minigrad.zeros(1, 1), 1)
    with pytest.raises(ValueError, match="ConfusionMatrix: classes = 1"):
        ConfusionMatrix(1)
    with pytest.raises(ValueError, match="ExamplePredictions: count = 0"):
        ExamplePredictions(count=0)
    with pytest.raises(ValueError, match="no layer 'fc'"):
        fit(ActivationMonitor(minigrad.zeros(1, 1, 4, 4), layers=["fc"]))
