"""Callbacks that look: their figures against sums by hand, what they write, and that a resumed run has the same."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest
from events import values

import minigrad
from minigrad import nn, optim, plot
from minigrad.runs import Run
from minigrad.training import Accuracy, Callback, Trainer, load_checkpoint, save_checkpoint
from minigrad.training.callbacks import (
    ActivationMonitor,
    ConfusionMatrix,
    EarlyStopping,
    EpochTimer,
    ExamplePredictions,
    GradientMonitor,
    MemoryMonitor,
    Order,
    TensorBoardLogger,
    WeightMonitor,
)
from minigrad.training.classes import classes_on_host
from minigrad.training.probes import ActivationProbe
from minigrad.utils.data import DataLoader, TensorDataset
from minigrad.utils.tensorboard import SummaryWriter

BATCHES = 5


def data(n=38, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(n, 1, 4, 4)).astype(np.float32)
    return TensorDataset(minigrad.tensor(images), minigrad.tensor(rng.integers(0, 3, n)))


def network():
    minigrad.manual_seed(5)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


def trainer_with(*callbacks, model=None, lr=0.1, rule=optim.SGD):
    model = network() if model is None else model
    return Trainer(
        model, nn.CrossEntropyLoss(), rule(model.parameters(), lr=lr), {"accuracy": Accuracy()}, callbacks=callbacks
    )


def fit(*callbacks, epochs=2, **options):
    trainer = trainer_with(*callbacks, **options)
    minigrad.manual_seed(6)
    trainer.fit(DataLoader(data(), 8, shuffle=True), DataLoader(data(20, 1), 8), epochs)
    return trainer


class Witness(Callback):
    """Keeps copies of the weights before each step and of the gradients, by epoch."""

    def __init__(self):
        self.gradients, self.weights = [], []

    def on_epoch_start(self, trainer):
        self.gradients.append([])
        self.weights.append([])

    def on_before_step(self, trainer):
        self.gradients[-1].append({n: p.grad.numpy().astype(np.float64) for n, p in trainer.model.named_parameters()})
        self.weights[-1].append({n: p.detach().numpy().astype(np.float64) for n, p in trainer.model.named_parameters()})


def norm(arrays):
    return math.sqrt(sum((a**2).sum() for a in arrays))


# -------------------------------------------------------------------------------------------------------- gradients


def test_the_gradients_of_the_measured_batches_are_averaged():
    witness, monitor = Witness(), GradientMonitor(every=2)
    trainer = fit(witness, monitor)
    for epoch, (row, kept, gradients) in enumerate(
        zip(trainer.history, monitor.history, witness.gradients, strict=True), start=1
    ):
        assert len(gradients) == BATCHES
        measured = gradients[::2]  # batches 1, 3, 5
        assert row["grad_norm"] == pytest.approx(np.mean([norm(g.values()) for g in measured]), rel=1e-6)
        assert kept["epoch"] == epoch
        assert list(kept["layers"]) == list(gradients[0])
        for name, figures in kept["layers"].items():
            mean = np.mean([norm([g[name]]) for g in measured])
            rms = mean / math.sqrt(gradients[0][name].size)
            assert figures == pytest.approx({"norm": mean, "rms": rms}, rel=1e-6)
    assert monitor.verdicts == []


def test_verdicts_name_epoch_and_layer():
    minigrad.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 8)]
    for _ in range(12):
        layers += [nn.Sigmoid(), nn.Linear(8, 8)]
    monitor = GradientMonitor()
    fit(monitor, model=nn.Sequential(*layers, nn.Linear(8, 3)))
    assert monitor.verdicts[0].startswith("epoch 1: 1.weight: gradient of ")
    assert monitor.verdicts[0].endswith("times smaller than that of 26.weight: vanishing")
    assert any(text.startswith("epoch 2: ") for text in monitor.verdicts)
    never = GradientMonitor(vanishing=0.0)
    fit(never, model=nn.Sequential(*layers, nn.Linear(8, 3)))
    assert never.verdicts == []


def test_gradients_are_seen_before_they_are_clipped():
    class Clip(Callback):
        order = Order.CONTROL

        def on_before_step(self, trainer):
            for p in trainer.model.parameters():
                p.grad.zero_()

    assert all(row["grad_norm"] > 0 for row in fit(Clip(), GradientMonitor()).history)


# ---------------------------------------------------------------------------------------------------------- weights


def test_the_weights_move_as_sgd_moves_them():
    witness, monitor = Witness(), WeightMonitor(every=3)
    trainer = fit(witness, monitor, lr=0.5)
    for row, kept, gradients, weights in zip(
        trainer.history, monitor.history, witness.gradients, witness.weights, strict=True
    ):
        moved = {name: 0.5 * sum(g[name] for g in gradients) for name in gradients[0]}
        assert row["weight_change"] == pytest.approx(norm(moved.values()), rel=1e-4)
        for name, figures in kept["layers"].items():
            at_end = weights[0][name] - moved[name]
            assert figures["change"] == pytest.approx(norm([moved[name]]), rel=1e-4)
            assert figures["norm"] == pytest.approx(norm([at_end]), rel=1e-4)
            assert (figures["mean"], figures["std"]) == pytest.approx((at_end.mean(), at_end.std()), abs=1e-5)
        steps = [0, 3]  # batches 1 and 4
        ratios = [0.5 * norm(gradients[i].values()) / norm(weights[i].values()) for i in steps]
        assert row["update_ratio"] == pytest.approx(np.mean(ratios), rel=1e-4)


def test_a_batch_that_was_skipped_has_no_ratio():
    class Skip(Callback):
        def on_before_step(self, trainer):
            if trainer.batch_index == 1:
                raise minigrad.training.callbacks.CancelBatch

    witness, monitor = Witness(), WeightMonitor(every=4)
    trainer = fit(monitor, Skip(), witness, epochs=1)  # of the batches 1 and 5 the first is skipped
    weights, gradients = witness.weights[0][-1], witness.gradients[0][-1]
    expected = 0.1 * norm(gradients.values()) / norm(weights.values())
    assert trainer.history[0]["update_ratio"] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(fit(WeightMonitor(every=9), Skip(), epochs=1).history[0]["update_ratio"])


# ------------------------------------------------------------------------------------------------------ activations


def test_activations_are_those_of_a_probe_at_the_end_of_the_epoch():
    batch = next(iter(DataLoader(data(12, 2), 12)))
    given = [t.numpy().copy() for t in batch]
    monitor = ActivationMonitor(batch)
    model = network()
    model[0].bias.data.copy_(minigrad.tensor([-1e6, 0.0, 0.0]))
    trainer = fit(monitor, model=model)
    seen = ActivationProbe(model).measure(batch)
    assert [kept["epoch"] for kept in monitor.history] == [1, 2]
    last = monitor.history[-1]["layers"]
    assert last == {
        name: {
            "mean": a.mean,
            "std": a.std,
            **({} if a.saturated is None else {"saturated": a.saturated}),
            **({} if a.dead is None else {"dead": a.dead}),
        }
        for name, a in seen.items()
    }
    assert set(last["1"]) == {"mean", "std", "dead"}
    assert last["1"]["dead"] >= 1 / 3
    assert trainer.history[-1]["dead"] == last["1"]["dead"]
    assert trainer.history[-1]["saturated"] == last["4"]["saturated"]
    assert all(np.array_equal(t.numpy(), before) for t, before in zip(batch, given, strict=True))


def test_the_largest_share_is_logged_and_none_without_such_layers():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh(), nn.Linear(3, 3), nn.Sigmoid())
    model[1].bias.data.fill_(100.0)
    trainer = fit(ActivationMonitor(minigrad.zeros(2, 1, 4, 4)), model=model, epochs=1)
    assert trainer.history[0]["saturated"] == 1.0
    assert "dead" not in trainer.history[0]
    monitor = ActivationMonitor(minigrad.zeros(2, 1, 4, 4), layers=["1"])
    assert "saturated" not in fit(monitor, model=model, epochs=1).history[0]
    assert list(monitor.history[0]["layers"]) == ["1"]


# ------------------------------------------------------------------------------------------------------ predictions


class Scores(nn.Module):
    """Predicts the class that stands in the corner of the image; the weight only keeps the optimizer busy."""

    def __init__(self, classes=3):
        super().__init__()
        self.classes = classes
        self.w = nn.Parameter(minigrad.zeros(1))

    def forward(self, x):
        wanted = x[:, 0, 0, 0]
        if self.classes == 1:
            return (wanted - 0.5).unsqueeze(1) + 0 * self.w
        return minigrad.eye(self.classes)[wanted.long()] + self.w


def corners(predicted, true):
    images = np.zeros((len(true), 1, 4, 4), np.float32)
    images[:, 0, 0, 0] = predicted
    images[:, 0, 1, 1] = np.arange(len(true))  # tells them apart
    return DataLoader(TensorDataset(minigrad.tensor(images), minigrad.tensor(np.array(true))), 4)


PREDICTED, TRUE = [0, 1, 2, 2, 0, 1, 1], [0, 2, 2, 1, 0, 1, 0]
COUNTS = [[2, 1, 0], [0, 1, 1], [0, 1, 1]]


def judged(*callbacks, model=None, target=TRUE, criterion=None, epochs=1):
    model = Scores() if model is None else model
    criterion = nn.CrossEntropyLoss() if criterion is None else criterion
    trainer = Trainer(model, criterion, optim.SGD(model.parameters(), lr=0.0), callbacks=callbacks)
    loader = corners(PREDICTED, target)
    trainer.fit(loader, loader, epochs)
    return trainer


def test_the_confusion_matrix_counts_the_validation_set():
    for classes in (None, 3, ["a", "b", "c"]):
        matrix = ConfusionMatrix(classes)
        assert matrix.counts is None
        judged(matrix, epochs=2)
        assert matrix.counts.tolist() == COUNTS
        assert matrix.epoch == 2
    matrix = ConfusionMatrix()
    target = [float(t > 0) for t in TRUE]
    judged(matrix, model=Scores(1), target=target, criterion=lambda y, t: nn.BCEWithLogitsLoss()(y[:, 0], t.float()))
    assert matrix.counts.tolist() == [[2, 1], [0, 4]]
    with pytest.raises(ValueError, match="expected 0 to 1 for 2 classes"):
        judged(ConfusionMatrix(2))
    with pytest.raises(ValueError, match=r"output has shape \(4,\), target \(3,\)"):
        classes_on_host("Here", minigrad.zeros(4), minigrad.zeros(3))
    with pytest.raises(ValueError, match=r"Here: output has shape \(4, 3\), target \(4, 1\)"):
        classes_on_host("Here", minigrad.zeros(4, 3), minigrad.zeros(4, 1))


def test_examples_are_the_wrong_ones_first():
    examples = ExamplePredictions(count=5)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [1, 3, 6, 0, 2]
    assert examples.true.tolist() == [2, 1, 0, 0, 2]
    assert examples.predicted.tolist() == [1, 2, 1, 0, 2]
    examples = ExamplePredictions(count=2)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [1, 3]
    examples = ExamplePredictions(count=6, wrong_first=False)
    judged(examples)
    assert examples.images[:, 0, 1, 1].tolist() == [0, 1, 2, 3, 4, 5]
    everything = ExamplePredictions(count=50)
    judged(everything)
    assert everything.images.shape == (7, 1, 4, 4)


def test_examples_want_images():
    model = nn.Linear(4, 3)
    table = TensorDataset(minigrad.randn(6, 4), minigrad.tensor([0, 1, 2, 0, 1, 2]))
    trainer = Trainer(
        model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), callbacks=[ExamplePredictions()]
    )
    with pytest.raises(ValueError, match=r"the input has shape \(6, 4\), expected images"):
        trainer.fit(DataLoader(table, 6), DataLoader(table, 6))
    with pytest.raises(ValueError, match="2 names, but there is a class 2"):
        judged(ExamplePredictions(["a", "b"]))


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


# --------------------------------------------------------------------------------------------------- time and memory


def test_time_and_memory_are_figures_of_the_machine():
    trainer = fit(EpochTimer(), MemoryMonitor())
    for row in trainer.performance_history:
        assert row["epoch_seconds"] > 0
        assert row["samples_per_second"] > 0
        assert row["peak_rss_mib"] >= row["rss_mib"] - 1 > 10
        assert row["gpu_mib"] == 0
    assert set(trainer.history[0]) == {"epoch", "loss", "accuracy", "val_loss", "val_accuracy"}


def test_the_parts_of_an_interrupted_epoch_add_up(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("minigrad.training.callbacks.epoch_timer.time.perf_counter", lambda: clock[0])
    logged = {}
    trainer = types.SimpleNamespace(
        batch=(None, range(10)), log=lambda name, value, performance: logged.update({name: value})
    )
    timer = EpochTimer()
    timer.on_fit_start(trainer)
    clock[0] = 3.0
    timer.on_epoch_start(trainer)
    clock[0] = 5.0
    timer.on_batch_end(trainer)
    state = timer.state_dict()
    assert state == {"seconds": 2.0, "samples": 10}
    timer = EpochTimer()
    timer.load_state_dict(state)
    clock[0] = 100.0
    timer.on_fit_start(trainer)
    clock[0] = 102.0
    timer.on_batch_end(trainer)
    clock[0] = 104.0
    timer.on_epoch_end(trainer)
    assert logged == {"epoch_seconds": 6.0, "samples_per_second": 20 / 4.0}


# ----------------------------------------------------------------------------------------------------- all of them


def everything(writer=None):
    batch = minigrad.tensor(np.random.default_rng(9).normal(size=(6, 1, 4, 4)).astype(np.float32))
    return [
        EpochTimer(),
        MemoryMonitor(),
        GradientMonitor(writer, every=2),
        WeightMonitor(writer, every=2),
        ActivationMonitor(batch, writer),
        ConfusionMatrix(3, writer),
        ExamplePredictions(writer=writer),
    ]


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
