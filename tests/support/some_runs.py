"""Folders of runs for tests: made by Run itself, in no time."""

from __future__ import annotations

import contextlib

from minigrad.runs import Run


def make_run(out, name="base", settings=None, curves=None, results=None, end=None, notices=(), performance=()):
    """A run with the curves {name: values}; `end`: an exception that ends it, "interrupted" or "killed"."""
    run = Run(out, name, settings or {})
    with contextlib.suppress(RuntimeError), contextlib.nullcontext() if end == "killed" else run:
        for notice in notices:
            run.notice(notice, say=False)
        for epoch, values in enumerate(zip(*(curves or {}).values(), strict=True), start=1):
            run.log(epoch, **dict(zip(curves, values, strict=True)))
        for epoch, row in enumerate(performance, start=1):
            run.log_performance(epoch, **row)
        if isinstance(end, Exception):
            raise end
        if end == "interrupted":
            run.interrupt("Stopped by Ctrl-C in epoch 2")
        run.results.update(results or {})
    return run.folder


def names(records):
    return [record.folder.name for record in records]


def grid(folder, seeds=(1,), values=((0.1, 0.01), (32, 64))):
    """Runs over lr × batch size; the accuracy is 0.9 - lr + batch / 1000 + seed / 100."""
    for lr in values[0]:
        for batch in values[1]:
            for seed in seeds:
                accuracy = 0.9 - lr + batch / 1000 + seed / 100
                settings = {"seed": seed, "lr": lr, "batch_size": batch, "device": "cpu"}
                curves = {"loss": [1.0, lr]}
                make_run(folder, "base", settings, curves, {"test_accuracy": accuracy, "count": 5})
