"""Evaluating, predicting, and the modes of the model."""

from __future__ import annotations

import numpy as np
import pytest
from loop_support import make
from small_training import data, net, weights

import minigrad
from minigrad import nn
from minigrad.training import Accuracy, Callback, Trainer
from minigrad.utils.data import DataLoader, TensorDataset


def test_metrics_of_training_and_validation_share_nothing():
    metric = Accuracy()
    trainer = make(metrics={"accuracy": metric})
    trainer.fit(DataLoader(data(), 10), DataLoader(data(8), 8))
    assert metric.count == 0
    assert trainer.meters[""]["accuracy"].count == 20
    assert trainer.meters["val_"]["accuracy"].count == 8


def test_evaluate_and_predict():
    trainer = make(metrics={"accuracy": Accuracy()})
    trainer.fit(DataLoader(data(), 10), DataLoader(data(), 6))
    figures = trainer.evaluate(DataLoader(data(), 6))
    assert figures == {"loss": trainer.history[-1]["val_loss"], "accuracy": trainer.history[-1]["val_accuracy"]}
    scores = trainer.predict(DataLoader(data(), 6))
    assert tuple(scores.shape) == (20, 1)
    assert not scores.requires_grad
    only_inputs = DataLoader(TensorDataset(data().tensors[0]), 6)
    assert np.array_equal(trainer.predict(only_inputs).numpy(), scores.numpy())
    assert np.array_equal(trainer.predict([data().tensors[0]]).numpy(), scores.numpy())
    assert trainer.model.training


def test_evaluation_alone_needs_no_optimizer():
    trainer = Trainer(net(), nn.MSELoss())
    trainer.model.eval()
    assert set(trainer.evaluate(DataLoader(data(), 6))) == {"loss"}
    assert not trainer.model.training
    with pytest.raises(ValueError, match="without an optimizer"):
        trainer.fit(DataLoader(data(), 6))


def test_evaluate_from_a_callback_disturbs_nothing():
    """At every event there is: weights and figures are those of a training without it."""

    class Curious(Callback):
        def __init__(self):
            self.loader = DataLoader(data(9, seed=4), 4, generator=minigrad.Generator().manual_seed(0))
            self.found = []

        def look(self, trainer):
            self.found.append(trainer.evaluate(self.loader))
            trainer.predict(self.loader)

        on_fit_start = on_epoch_start = on_batch_start = on_before_backward = look
        on_before_step = on_batch_end = on_validation_start = on_validation_batch_end = look
        on_validation_end = on_epoch_end = on_fit_end = look

    results = []
    for callbacks in ([], [Curious()]):
        trainer = make(callbacks, {"accuracy": Accuracy()})
        minigrad.manual_seed(3)
        history = trainer.fit(DataLoader(data(), 6, shuffle=True), DataLoader(data(12, seed=2), 5), epochs=2)
        results.append((history, weights(trainer.model)))
    assert results[0] == results[1]
    (curious,) = callbacks
    assert all(set(figures) == {"loss", "accuracy"} for figures in curious.found)


def test_layers_that_were_frozen_by_hand_stay_frozen():
    """Batch norm put into evaluation mode keeps its statistics, through epochs and evaluations."""
    model = net()
    model[1].eval()
    before = model[1].running_mean.numpy().copy()
    trainer = make(model=model)
    trainer.fit(DataLoader(data(), 5), DataLoader(data(), 10), epochs=2)
    trainer.evaluate(DataLoader(data(), 10))
    trainer.predict(DataLoader(data(), 10))
    assert [module.training for module in model] == [True, False, True, True, True]
    assert np.array_equal(model[1].running_mean.numpy(), before)


def test_a_model_in_evaluation_mode_is_put_into_training_mode():
    model = net().eval()
    before = model[1].running_mean.numpy().copy()
    make(model=model).fit(DataLoader(data(), 5))
    assert all(module.training for module in model.modules())
    assert not np.array_equal(model[1].running_mean.numpy(), before)


def test_the_mode_comes_back_after_an_error_in_an_evaluation():
    trainer = make()
    with pytest.raises(ValueError, match="Linear"):
        trainer.evaluate([(minigrad.ones(2, 4), minigrad.ones(2, 1))])
    assert trainer.model.training
    assert trainer.model[1].training
    assert minigrad.is_grad_enabled()
    assert trainer.batch is None
