"""Where the time of a program goes, op by op, under PyTorch's names.

    with minigrad.profiler.profile() as p:
        for x, y in loader:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
    print(p.key_averages().table())       # a row an op: calls, forward, backward, share, bytes, kernel or textbook
    p.key_averages().rows()               # the same as plain data
    p.export_chrome_trace("trace.json")   # every call on a line of time, for https://ui.perfetto.dev

:mod:`~minigrad.profiler.recorder` notes what happens, :mod:`~minigrad.profiler.events` finds out who called whom,
:mod:`~minigrad.profiler.averages` adds up, :mod:`~minigrad.profiler.table` and :mod:`~minigrad.profiler.trace` show it.
"""

from .averages import AverageList, EventList, FunctionEventAvg
from .events import FunctionEvent
from .profiler import ProfilerActivity, profile, record_function, supported_activities, tensorboard_trace_handler
from .schedule import ProfilerAction, schedule
from .table import Row

__all__ = [
    "AverageList",
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerAction",
    "ProfilerActivity",
    "Row",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
