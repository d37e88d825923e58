"""The monitor of activations: what a probe measures, at the end of each epoch."""

from __future__ import annotations

import numpy as np
from monitor_support import data, fit, network

import minigrad
from minigrad import nn
from minigrad.training.callbacks import (
    ActivationMonitor,
)
from minigrad.training.probes import ActivationProbe
from minigrad.utils.data import DataLoader


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
