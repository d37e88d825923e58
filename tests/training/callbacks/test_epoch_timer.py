"""Times and memory by epoch."""

from __future__ import annotations

import types

from monitor_support import fit

from minigrad.training.callbacks import (
    EpochTimer,
    MemoryMonitor,
)


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
