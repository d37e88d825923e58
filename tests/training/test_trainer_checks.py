"""Arguments, loaders and losses that the Trainer refuses."""

from __future__ import annotations

import numpy as np
import pytest
from refused_support import Raises, data, loader, make, net
from small_training import weights

import minigrad
from minigrad import nn
from minigrad.optim import lr_scheduler
from minigrad.training import Accuracy, Callback, NonFiniteError, Trainer
from minigrad.training.callbacks import (
    EarlyStopping,
    LRFinder,
    LRSchedule,
    ModelCheckpoint,
    OverfitOneBatch,
)
from minigrad.utils.data import DataLoader, IterableDataset, TensorDataset


class Misspelt(Callback):
    def on_epoch_ends(self, trainer):
        pass


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"model": lambda x: x}, TypeError, "model is a function, expected an nn.Module"),
        ({"criterion": nn.MSELoss}, TypeError, "expected a loss such as nn.CrossEntropyLoss()"),
        ({"criterion": "mse"}, TypeError, "criterion is 'mse', expected a loss"),
        ({"optimizer": 0.1}, TypeError, "optimizer is a float, expected an Optimizer"),
        ({"callbacks": [EarlyStopping]}, TypeError, "expected a Callback; make an instance: EarlyStopping(...)"),
        ({"callbacks": [print]}, TypeError, "a callback is <built-in function print>, expected a Callback"),
        ({"callbacks": EarlyStopping("loss")}, TypeError, "callbacks is EarlyStopping, expected a list of Callbacks"),
        ({"metrics": [Accuracy()]}, TypeError, "metrics is a list, expected {name: Metric}"),
        ({"metrics": {"a": Accuracy}}, TypeError, "expected a Metric; make an instance: Accuracy(...)"),
        ({"metrics": {"a": lambda output, target: 0}}, TypeError, "the metric 'a' is <function"),
        ({"metrics": {"loss": Accuracy()}}, ValueError, "a metric cannot be called 'loss'"),
        ({"metrics": {"val_a": Accuracy()}}, ValueError, "a metric cannot be called 'val_a'"),
        ({"device": "tpu"}, RuntimeError, "'tpu' is not a device"),
        ({"model": net()}, ValueError, "optimizer holds none of the model's parameters; was the model made anew"),
        ({"callbacks": [Misspelt()]}, ValueError, "Misspelt listens to on_epoch_ends, which is no event; did you mean"),
    ],
)
def test_arguments_of_the_wrong_kind(arguments, error, said):
    model = net()
    given = {"model": model, "criterion": nn.MSELoss(), "optimizer": minigrad.optim.SGD(model.parameters(), 0.1)}
    with pytest.raises(error) as caught:
        Trainer(**{**given, **arguments})
    assert said in str(caught.value)


@pytest.mark.parametrize("epochs", [0, -1, 2.0, "3", None])
def test_epochs(epochs):
    with pytest.raises(ValueError, match="expected a whole number above 0"):
        make().fit(loader(), epochs=epochs)


@pytest.mark.parametrize(
    ("callback", "said"),
    [
        (
            lambda o: EarlyStopping("val_acuracy", mode="max"),
            "EarlyStopping: 'val_acuracy' is not logged; did you mean",
        ),
        (lambda o: EarlyStopping("val_acuracy", mode="max"), "'val_accuracy' or 'accuracy'?"),
        (lambda o: ModelCheckpoint("nowhere", "perplexity"), "There are: loss, accuracy, val_loss, val_accuracy"),
        (
            lambda o: LRSchedule(lr_scheduler.ReduceLROnPlateau(o), monitor="val_los"),
            "LRSchedule(ReduceLROnPlateau): 'val_los' is not logged; did you mean 'val_loss'",
        ),
    ],
)
def test_a_figure_that_nobody_logs_is_found_out_before_the_training(tmp_path, monkeypatch, callback, said):
    monkeypatch.chdir(tmp_path)
    trainer = make(metrics={"accuracy": Accuracy()})
    trainer.callbacks = [callback(trainer.optimizer), Raises("on_fit_start", AssertionError("it has begun"))]
    before = weights(trainer.model)
    with pytest.raises(ValueError, match="is not logged") as caught:
        trainer.fit(loader(), loader())
    assert said in str(caught.value)
    assert weights(trainer.model) == before
    assert list(tmp_path.iterdir()) == []


def test_a_figure_of_the_validation_without_a_validation():
    with pytest.raises(ValueError, match=r"'val_loss' is not logged; it needs a val_loader\. There are: loss"):
        make([EarlyStopping("val_loss")]).fit(loader())


def test_a_figure_that_a_callback_promised():
    class Promises(Callback):
        def log_names(self):
            return ("figure",)

    with pytest.raises(ValueError, match="EarlyStopping: 'figure' is not logged; There are: loss") as caught:
        make([EarlyStopping("figure", mode="min"), Promises()]).fit(loader())
    assert (
        "Raised by the callback EarlyStopping in on_epoch_end (epoch 1, batch 4, step 4)" in caught.value.__notes__[0]
    )


class Empty(IterableDataset):
    def __iter__(self):
        return iter(())


def test_loaders_that_yield_nothing():
    nothing = DataLoader(TensorDataset(minigrad.zeros(0, 3), minigrad.zeros(0, 1)), 4)
    for train, val, said in [
        (nothing, None, "Trainer.fit: train_loader has no batches; is the data set empty"),
        ([], None, "Trainer.fit: train_loader has no batches"),
        (loader(), nothing, "Trainer.fit: val_loader has no batches"),
        (DataLoader(Empty(), 4), None, "train_loader yielded no batch in epoch 1"),
        (loader(), DataLoader(Empty(), 4), "Trainer.fit: val_loader yielded no batch"),
        (iter([]), None, "train_loader yielded no batch in epoch 1"),
    ]:
        with pytest.raises(ValueError, match=said):
            make().fit(train, val)
    for call in (make().evaluate, make().predict):
        with pytest.raises(ValueError, match="loader has no batches"):
            call(nothing)
        with pytest.raises(ValueError, match="yielded no batch"):
            call(DataLoader(Empty(), 4))


@pytest.mark.parametrize("callback", [LRFinder(steps=10), OverfitOneBatch(steps=3, required=False)])
def test_searches_with_a_loader_that_yields_nothing(callback):
    with pytest.raises(ValueError, match="yielded no batch"):
        make([callback]).fit(DataLoader(Empty(), 4))


def test_generators_can_be_gone_through_once():
    def batches():
        yield from loader()

    assert len(make().fit(batches(), batches())) == 1
    for train, val, which in [(batches(), None, "train_loader"), (loader(), batches(), "val_loader")]:
        trainer = make()
        with pytest.raises(ValueError, match=f"{which} is a generator, which yields its batches once"):
            trainer.fit(train, val, epochs=2)
        assert trainer.step == 0
    used = batches()
    list(used)
    with pytest.raises(ValueError, match="train_loader yielded no batch in epoch 1; an iterator can be used only once"):
        make().fit(used)
    trainer = make()
    with pytest.raises(ValueError, match="train_loader yielded no batch in epoch 2"):
        trainer.fit(iter(list(loader())), epochs=2)
    assert len(trainer.history) == 1  # what was trained stays


def test_a_data_set_is_no_loader():
    for call in (make().fit, make().evaluate, make().predict):
        with pytest.raises(TypeError, match=r"is a TensorDataset, expected .* make DataLoader\(dataset, batch_size=32"):
            call(data())
    with pytest.raises(TypeError, match="train_loader is a NoneType"):
        make().fit(None)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"x": minigrad.ones(2, 3), "y": minigrad.ones(2, 1)}, "a batch is a dict, expected"),
        (minigrad.ones(2, 3), "a batch is a Tensor, expected"),
        ([minigrad.ones(2, 3)], "a batch is a list of 1, expected"),
        ((), "a batch is a tuple of 0, expected"),
    ],
)
def test_batches_of_another_form(batch, said):
    for call in (make().fit, make().evaluate):
        with pytest.raises(TypeError, match=rf"Trainer: {said} \(input, …, target\)"):
            call([batch])


def test_a_loader_that_fails_in_the_middle():
    def batches():
        yield from list(loader())[:2]
        raise OSError("the disk is gone")

    trainer = make()
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit(batches())
    assert trainer.step == 2


def test_losses_that_are_no_number():
    for criterion, said in [
        (nn.BCEWithLogitsLoss(reduction="none"), r"of shape \(5, 1\), expected a tensor of one element"),
        (lambda output, target: 0.5, "of type float, expected a tensor of one element"),
    ]:
        trainer = make(criterion=criterion)
        before = weights(trainer.model)
        for call in (trainer.fit, trainer.evaluate):
            with pytest.raises(ValueError, match=said):
                call(loader())
        changed = {k for k, v in weights(trainer.model).items() if v != before[k]}
        assert changed <= {"1.running_mean", "1.running_var", "1.num_batches_tracked"}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_at_the_start(value):
    trainer = make(criterion=lambda output, target: (output * 0).sum() + value)
    before = weights(trainer.model)
    with pytest.raises(NonFiniteError, match=r"Trainer.fit: .*epoch 1, batch 1"):
        trainer.fit(loader())
    assert weights(trainer.model) == before  # running statistics included
    assert trainer.step == 0
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
