"""Switches of the engine, one set per thread: is a graph recorded, are numbers watched."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _Modes(threading.local):
    grad = True  # record the graph
    inference = False  # inside inference_mode


RULES, NUMBERS = 1, 2  # how closely a thread is watched


class _Watch:
    """How closely this thread's ops are watched. ``threads`` is empty nearly always, which is all that an op has to
    look at. RULES: backward rules keep their contract (see ``engine._hold_to_contract``). NUMBERS: also look for NaN
    and infinity, and remember the lines that called ops."""

    def __init__(self) -> None:
        self.threads: dict[int, int] = {}  # thread number → level

    @property
    def level(self) -> int:
        return self.threads.get(get_ident(), 0)

    @level.setter
    def level(self, value: int) -> None:
        if value:
            self.threads[get_ident()] = value
        else:
            self.threads.pop(get_ident(), None)


modes = _Modes()
watch = _Watch()


class _Mode:
    """A context manager that is also a decorator and sets one switch."""

    _owner: Any = modes

    def __init__(self, **switches: int) -> None:
        self._switches = switches
        self._before: list[dict[str, int]] = []

    def __enter__(self) -> None:
        self._before.append({name: getattr(self._owner, name) for name in self._switches})
        for name, value in self._switches.items():
            setattr(self._owner, name, value)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for name, value in self._before.pop().items():
            setattr(self._owner, name, value)

    def __call__(self, function: F) -> F:
        """Decorate: each call runs inside the mode; a generator does so only while it computes its next value."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                generator, send = function(*args, **kwargs), None
                while True:
                    try:
                        with self._again():
                            value = generator.send(send)
                    except StopIteration as end:
                        return end.value
                    send = yield value

        else:

            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    def _again(self) -> _Mode:
        """The same mode to enter anew: calls may nest, and threads may call at once."""
        mode = _Mode(**self._switches)
        mode._owner = self._owner
        return mode


class _BareMode(_Mode):
    """A mode that decorates with or without brackets: ``@no_grad()`` or ``@no_grad``."""

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)


class no_grad(_BareMode):
    """Inside, ops record no graph: results have ``requires_grad=False`` and leaves may be changed in place."""

    def __init__(self) -> None:
        super().__init__(grad=False)


class enable_grad(_BareMode):
    """Inside, ops record the graph again, also within ``no_grad``."""

    def __init__(self) -> None:
        super().__init__(grad=True)


class inference_mode(_Mode):
    """As ``no_grad``. PyTorch also refuses tensors made inside in any later graph; here they are ordinary constants."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(**({"grad": False, "inference": True} if mode else {"grad": True, "inference": False}))


class _Setting(_Mode):
    """A mode that its constructor switches: from here on, or until its block ends."""

    def __init__(self, **switches: int) -> None:
        super().__init__(**switches)
        super().__enter__()

    def __enter__(self) -> None:
        pass  # already switched by the constructor

    def __call__(self, function: F) -> F:
        self.__exit__(None, None, None)  # to decorate is not to switch
        return super().__call__(function)


class set_grad_enabled(_Setting):
    """Switch recording on or off, as a context manager or, called alone, from here on."""

    def __init__(self, mode: bool) -> None:
        super().__init__(grad=bool(mode))


class watched_rules(_Mode):
    """Inside, ops remember the shapes of their arguments, and a backward rule that returns a gradient of another shape
    or changes what it was handed raises :class:`minigrad.errors.RuleError`."""

    _owner = watch

    def __init__(self) -> None:
        super().__init__(level=max(RULES, watch.level))


class detect_anomaly(_Mode):
    """Inside, every op's result and every gradient is checked, and the first NaN or infinity made out of finite
    numbers raises :class:`minigrad.errors.AnomalyError` with the op's name and the line of your code that called it.
    A rule that returns a gradient of a wrong shape or changes what it was handed is named as well.

    It costs some passes over each result; use it to find a fault, not to train.
    """

    _owner = watch

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(level=NUMBERS if check_nan else 0)


class set_detect_anomaly(_Setting):
    """Switch :class:`detect_anomaly` on or off, as a context manager or, called alone, from here on."""

    _owner = watch

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(level=NUMBERS if mode and check_nan else 0)


def is_grad_enabled() -> bool:
    return modes.grad


def is_inference_mode_enabled() -> bool:
    return modes.inference


def is_anomaly_enabled() -> bool:
    return watch.level == NUMBERS
