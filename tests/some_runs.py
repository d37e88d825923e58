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
