"""``profile``, the profiler's interface, and ``record_function``, which names a part of a program."""

from __future__ import annotations

import enum
import functools
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from .. import cuda
from .averages import AverageList, EventList
from .recorder import Recorder
from .records import SCOPE, STEP, Recording
from .schedule import ProfilerAction

F = TypeVar("F", bound=Callable[..., Any])

_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
_taken = threading.Lock()  # held by the one profiler that runs
_running: list[profile] = []  # that one


class ProfilerActivity(enum.Enum):
    """What is watched. Source: torch.profiler.ProfilerActivity."""

    CPU = 0
    CUDA = 1


def supported_activities() -> set[ProfilerActivity]:
    """The CPU, and CUDA where a GPU can be used."""
    return {ProfilerActivity.CPU, ProfilerActivity.CUDA} if cuda.is_available() else {ProfilerActivity.CPU}


class profile:
    """Records where the time of a program goes: the passes of ops, the optimizer, the engine, and named scopes.

        with minigrad.profiler.profile() as p:
            train_one_epoch()
        print(p.key_averages().table())
        p.export_chrome_trace("trace.json")  # to be opened in https://ui.perfetto.dev

    Ops of all threads are recorded, each thread for itself; the wall time is that of the thread that begins. Forked
    processes, such as a DataLoader's workers, are not recorded, and may have a profiler of their own. A first
    call may compile a kernel: warm up before, or give a ``schedule``. Memory grows by about half a kilobyte an op
    until the recording ends.

    Args:
        activities: what to watch; by default the CPU, and a GPU where there is one. With CUDA the GPU comes to rest
            around each op on its arrays, so that times are those of its work; without, they are the times it takes
            to hand the work out.
        schedule: from the number of a step to what to do in it (see :func:`schedule`); :meth:`step` ends each step.
            None records all from beginning to end.
        on_trace_ready: called with the profiler after each recording, when its events are there.
        record_shapes: note the shapes of inputs. On by default, unlike in PyTorch: it costs little here.
        profile_memory: note the bytes of outputs and gradients. On by default, as well.
        with_flops: work out the floating-point operations of matrix products and 2-D convolutions, 2 for each
            multiply-add, by their direct sums.
        acc_events: keep the events of earlier recordings; otherwise only those of the last one are there.
        with_stack, with_modules, experimental_config, execution_trace_observer, use_cuda, custom_trace_id_callback,
            post_processing_timeout_s: not in minigrad.

    Raises:
        NotImplementedError: an option that is not in minigrad.
        TypeError, ValueError: activities that are none.
        RuntimeError: on :meth:`start`, where another profiler is running.

    Source: torch.profiler.profile.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = True,
        profile_memory: bool = True,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        _refuse_options(
            with_stack=with_stack,
            with_modules=with_modules,
            experimental_config=experimental_config,
            execution_trace_observer=execution_trace_observer,
            use_cuda=use_cuda,
            custom_trace_id_callback=custom_trace_id_callback,
            post_processing_timeout_s=post_processing_timeout_s,
        )
        self.activities = _activities(activities)
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_flops = with_flops
        self.acc_events = acc_events
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = ProfilerAction.NONE
        self._started = False
        self._recorder: Recorder | None = None
        self._step_began = 0
        self._recordings: list[Recording] = []
        self._events: EventList | None = None

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with step 0, and forget what was recorded before. Raises RuntimeError if a profiler is running."""
        if not _taken.acquire(blocking=False):
            raise RuntimeError(
                "profile: a profiler is running already, this one or another; there can be one at a time. Stop it "
                "first, or name parts of a program with record_function"
            )
        self._started = True
        _running.append(self)
        self._recordings, self._events, self.step_num = [], None, 0
        try:
            self._turn_to(self._action_of_step())
        except BaseException:
            self._release()
            raise

    def step(self) -> None:
        """End a step of the training loop and begin the next one, in which the schedule may say something else."""
        if not self._started:
            raise RuntimeError("profile: step() belongs between start() and stop(), or inside the with block")
        self._end_step()
        self.step_num += 1
        self._turn_to(self._action_of_step())

    def stop(self) -> None:
        """End; what was being recorded is kept, and ``on_trace_ready`` called. Does nothing if it is not running."""
        if not self._started:
            return
        try:
            self._end_step()
            self._turn_to(ProfilerAction.NONE)
        finally:
            self._release()

    def events(self) -> EventList:
        """All that was recorded, as a list of :class:`FunctionEvent`. Raises RuntimeError if nothing was."""
        if not self._recordings:
            raise RuntimeError(
                "profile: nothing is recorded yet; events are there once the with block, or the active steps of the "
                "schedule, have ended"
            )
        if self._events is None:
            self._events = EventList(self._recordings, self.with_flops)
        return self._events

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0) -> AverageList:
        """The events added up by op, or by op and shapes of its inputs. Raises RuntimeError if nothing was recorded."""
        _refuse_options(group_by_stack_n=group_by_stack_n)
        if group_by_input_shape and not self.record_shapes:
            raise ValueError("key_averages: group_by_input_shape=True needs profile(record_shapes=True)")
        return self.events().key_averages(group_by_input_shape)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events to a file for https://ui.perfetto.dev or chrome://tracing, compressed if it ends in ".gz".

        Raises RuntimeError if nothing was recorded, OSError where the file cannot be written.
        """
        self.events().export_chrome_trace(path)

    # --- from step to step --------------------------------------------------------------------------------------------

    def _action_of_step(self) -> ProfilerAction:
        action = ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)
        if not isinstance(action, ProfilerAction):
            raise TypeError(f"profile: schedule({self.step_num}) must return a ProfilerAction, got {action!r}")
        return action

    def _turn_to(self, action: ProfilerAction) -> None:
        """End what the last step began, as far as the next step does not go on with it, and begin what it needs."""
        before, self.current_action = self.current_action, action
        if before in _RECORDING and (before is ProfilerAction.RECORD_AND_SAVE or action not in _RECORDING):
            self._save()
        elif before is ProfilerAction.WARMUP and action in _RECORDING and self._recorder is not None:
            self._recorder.forget()
        elif action is ProfilerAction.NONE:
            self._end_recording()
        if action is not ProfilerAction.NONE and self._recorder is None:
            shapes, gpu = self.record_shapes or self.with_flops, ProfilerActivity.CUDA in self.activities
            recorder = Recorder(shapes, self.profile_memory, self.with_flops, gpu)
            recorder.start()
            self._recorder = recorder
        if self._recorder is not None and self.schedule is not None:
            self._step_began = self._recorder.begin()

    def _end_step(self) -> None:
        if self._recorder is not None and self.schedule is not None:
            self._recorder.end(STEP, f"ProfilerStep#{self.step_num}", self._step_began)

    def _end_recording(self) -> Recording | None:
        recorder, self._recorder = self._recorder, None
        return None if recorder is None else recorder.stop()

    def _save(self) -> None:
        recording = self._end_recording()
        if recording is not None:
            self._recordings = [*(self._recordings if self.acc_events else []), recording]
            self._events = None
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def _release(self) -> None:
        try:
            self._end_recording()
        finally:
            self.current_action, self._started = ProfilerAction.NONE, False
            _running.clear()
            _taken.release()


def _end_in_child() -> None:
    """Stop the recording in a forked process, whose profile is never read."""
    if _running:
        (inherited,) = _running
        if inherited._recorder is not None:
            inherited._recorder.drop()
            inherited._recorder = None
        inherited._release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_in_child)


class record_function:
    """A scope with a name of its own in the table and the trace, around a part of a program or a function.

        with record_function("forward"):
            loss = criterion(model(x), y)

        @record_function("augment")
        def augment(image): ...

    Scopes may nest, also with ops; one that begins in the other must end in it. While no profiler records, a scope
    costs next to nothing.

    Args:
        name: what it is called.
        args: more about it, for the trace.

    Raises TypeError for a name that is not a string. Source: torch.profiler.record_function.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        if not isinstance(name, str):
            raise TypeError(f"record_function: name must be a string, got {type(name).__name__}")
        self.name = name
        self.args = args
        self._open: list[tuple[Recorder, int] | None] = []

    def __enter__(self) -> record_function:
        recorder = Recorder.running
        self._open.append(None if recorder is None else (recorder, recorder.begin()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        opened = self._open.pop()
        if opened is not None:
            opened[0].end(SCOPE, self.name, opened[1], self.args)

    def __call__(self, function: F) -> F:
        """Decorate: each call is a scope."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


def tensorboard_trace_handler(
    dir_name: str | os.PathLike[str], worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """For ``on_trace_ready``: write each recording to ``dir_name``, as ``<worker_name>.<ns since 1970>.pt.trace.json``.

    The names are those that PyTorch gives, and the files Chrome traces: open them in https://ui.perfetto.dev.

    Args:
        dir_name: the folder, made if it is not there.
        worker_name: ``<host>_<process>`` if None.
        use_gzip: compress the files (and end their names in ".gz").

    Source: torch.profiler.tensorboard_trace_handler.
    """
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    def write(p: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        p.export_chrome_trace(os.path.join(dir_name, name))

    return write


def _activities(asked: Iterable[Any] | None) -> set[ProfilerActivity]:
    if asked is None:
        return supported_activities()
    found = set(asked)
    for activity in found:
        if not isinstance(activity, ProfilerActivity):
            raise TypeError(f"profile: activities must be ProfilerActivity.CPU or .CUDA, got {activity!r}")
    if not found:
        raise ValueError("profile: activities is empty; leave it out to watch everything")
    if ProfilerActivity.CUDA in found and not cuda.is_available():
        warnings.warn("profile: there is no GPU that could be watched; only the CPU is", stacklevel=3)
        return {ProfilerActivity.CPU}
    return found


def _refuse_options(**options: Any) -> None:
    """Raise for PyTorch's options that minigrad does not have."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"profile: {name}={value!r} is not in minigrad; leave it out")
