"""Ending a training before a NaN reaches the weights."""

from __future__ import annotations

import warnings

from small_training import loader, make, weights

from minigrad import nn
from minigrad.training.callbacks import TerminateOnNaN


def test_large_finite_gradients_are_let_pass():
    """The sum of their squares overflows, they themselves do not."""
    model = nn.Linear(3, 1)
    trainer = make([TerminateOnNaN()], model, lambda output, target: output.sum() * 1e25, lr=1e-30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.fit(loader())
    assert trainer.stopped is None
    assert trainer.step == 2


def test_the_guard_watches_without_a_trace():
    results = []
    for callbacks in ([], [TerminateOnNaN()]):
        trainer = make(callbacks)
        results.append((trainer.fit(loader(), loader(), epochs=2), weights(trainer.model)))
    assert results[0] == results[1]
    assert callbacks[0].diagnosis is None
