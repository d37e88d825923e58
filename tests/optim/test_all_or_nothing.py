"""A step changes every parameter, or after an error none; Ctrl-C counts as an error that waits for the step's end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import DtypeError, ShapeError

RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Adamax", {}),
    ("Rprop", {}),
]
EVERY_RULE = pytest.mark.parametrize(
    ("name", "settings"), RULES, ids=lambda v: "-".join(v) if isinstance(v, dict) else v
)


def network(name: str, settings: dict[str, Any], count: int = 5) -> tuple[list[Any], Any]:
    """Parameters that have made a step, with gradients for the next one."""
    minigrad.manual_seed(0)
    parameters = [minigrad.nn.Parameter(minigrad.randn(3, 2)) for _ in range(count)]
    optimizer = getattr(optim, name)(parameters, lr=0.1, **settings)
    for _ in range(2):
        for p in parameters:
            p.grad = minigrad.randn(3, 2)
        optimizer.step()
    return parameters, optimizer


def everything(parameters: list[Any], optimizer: Any) -> list[Any]:
    state = optimizer.state_dict()["state"]
    kept = [(n, key, value) for n in sorted(state) for key, value in sorted(state[n].items())]
    return [
        *(p.detach().numpy().copy() for p in parameters),
        *(value.numpy().copy() if isinstance(value, minigrad.Tensor) else value for *_, value in kept),
        [(n, key) for n, key, _ in kept],
        [p._version_number for p in parameters],
    ]


def same(a: list[Any], b: list[Any]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


def _other_dtype(p: Any) -> None:
    p.data = p.data.double()


def _other_shape(p: Any) -> None:
    p.data = minigrad.zeros(4)


def _bigger_with_gradient(p: Any) -> None:
    p.data = minigrad.zeros(30, 20)
    p.grad = minigrad.zeros(30, 20)


def _expanded(p: Any) -> None:
    p.data = minigrad.ones(1, 2).expand(3, 2)


def _gradients_other_dtype(p: Any) -> None:
    p.grad.data = p.grad.data.half()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_other_dtype, DtypeError, r"parameter 3 of its group is .*float64, its gradient .*float32"),
        (_gradients_other_dtype, DtypeError, r"parameter 3 of its group is .*float32, its gradient .*float16"),
        (_other_shape, ShapeError, r"parameter 3 of its group has shape \(4,\), its gradient \(3, 2\)"),
        (_expanded, ValueError, "parameter 3 .* cannot be written to"),
    ],
)
@EVERY_RULE
def test_what_does_not_fit_is_found_before_the_first_change(
    name: str,
    settings: dict[str, Any],
    spoil: Callable[[Any], None],
    error: type[Exception],
    message: str,
    kernels: bool,
) -> None:
    parameters, optimizer = network(name, settings)
    spoil(parameters[3])
    before = everything(parameters, optimizer)
    with contextlib.nullcontext() if kernels else minigrad.kernels.disabled(), pytest.raises(error, match=message):
        optimizer.step()
    same(everything(parameters, optimizer), before)


@pytest.mark.parametrize(("name", "settings"), RULES[1:], ids=lambda v: "-".join(v) if isinstance(v, dict) else v)
def test_memory_of_another_shape_is_found(name: str, settings: dict[str, Any]) -> None:
    parameters, optimizer = network(name, settings)
    _bigger_with_gradient(parameters[3])
    before = everything(parameters, optimizer)
    with pytest.raises(ShapeError, match=r"shape \(30, 20\) now, and what is remembered of it \(3, 2\)"):
        optimizer.step()
    same(everything(parameters, optimizer), before)


def test_a_bad_setting_in_a_later_group() -> None:
    parameters, optimizer = network("Adam", {})
    optimizer.add_param_group({"params": [minigrad.nn.Parameter(minigrad.ones(2))], "lr": "fast"})
    optimizer.param_groups[1]["params"][0].grad = minigrad.ones(2)
    before = everything(parameters, optimizer)
    with pytest.raises(ValueError, match="fast"):
        optimizer.step()
    same(everything(parameters, optimizer), before)


@pytest.mark.parametrize("name", ["Adam", "SGD"])
def test_a_first_step_that_fails_leaves_no_memory(name: str) -> None:
    parameters = [minigrad.nn.Parameter(minigrad.ones(3)) for _ in range(2)]
    optimizer = getattr(optim, name)(parameters, lr=0.1, **({"momentum": 0.9} if name == "SGD" else {}))
    for p in parameters:
        p.grad = minigrad.ones(3)
    _other_dtype(parameters[1])
    with pytest.raises(DtypeError):
        optimizer.step()
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@EVERY_RULE
def test_ctrl_c_between_parameters_waits(
    name: str, settings: dict[str, Any], kernels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule is interrupted while it changes the second parameter: the step is that of a run without it."""
    module = optim.adam if name == "AdamW" else getattr(optim, name.lower())
    rule = "adam" if name == "AdamW" else name.lower()
    kernel = getattr(optim, name).on_cpu if kernels else None
    if kernel is not None:
        kernel.load()
    place, attribute = (module, rule) if kernel is None else (kernel, "compute")
    right, calls = getattr(place, attribute), []

    def interrupted(*args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        right(*args)

    interrupted.__name__ = rule
    expected, twin = network(name, settings)
    parameters, optimizer = network(name, settings)
    before = signal.getsignal(signal.SIGINT)
    with contextlib.nullcontext() if kernels else minigrad.kernels.disabled():
        twin.step()
        monkeypatch.setattr(place, attribute, interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    assert len(calls) == len(parameters)
    same(everything(parameters, optimizer), everything(expected, twin))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_textbook_rule_that_fails_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for want of memory: a third of the parameters is changed, another half changed."""
    right, calls = optim.adam.adam, []

    def failing(p: Any, g: Any, m: Any, *rest: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            m += 7
            raise MemoryError
        right(p, g, m, *rest)

    parameters, optimizer = network("Adam", {})
    before = everything(parameters, optimizer)
    monkeypatch.setattr(optim.adam, "adam", failing)
    with minigrad.kernels.disabled(), pytest.raises(MemoryError):
        optimizer.step()
    same(everything(parameters, optimizer), before)


def test_a_users_own_handler_is_called_once_and_stays() -> None:
    _, optimizer = network("Adam", {})
    optim.Adam.on_cpu.load()
    before, came = signal.getsignal(signal.SIGINT), []

    def handler(number: int, frame: Any) -> None:
        came.append(number)

    kernel = optim.Adam.on_cpu
    right = kernel.compute
    signal.signal(signal.SIGINT, handler)
    try:
        kernel.compute = lambda *args: (signal.raise_signal(signal.SIGINT), right(*args))
        optimizer.step()
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        kernel.compute = right
        signal.signal(signal.SIGINT, before)
    assert came == [signal.SIGINT]


@pytest.mark.parametrize("kind", [signal.SIG_IGN, signal.SIG_DFL])
def test_other_dispositions_of_ctrl_c_stay(kind: Any) -> None:
    _, optimizer = network("SGD", {})
    before = signal.signal(signal.SIGINT, kind)
    try:
        optimizer.step()
        assert signal.getsignal(signal.SIGINT) == kind
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_step_in_another_thread_leaves_signals_alone() -> None:
    parameters, optimizer = network("Adam", {})
    before = signal.getsignal(signal.SIGINT)
    start = parameters[0].detach().clone()
    thread = threading.Thread(target=optimizer.step)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert not minigrad.equal(parameters[0].detach(), start)


def test_parameters_that_share_memory_are_changed_one_after_the_other() -> None:
    results = []
    for kernels in (True, False):
        a, b = minigrad.nn.Parameter(minigrad.ones(4)), minigrad.nn.Parameter(minigrad.ones(4))
        b.data = a.data
        a.grad, b.grad = minigrad.ones(4), minigrad.ones(4) * 3
        with contextlib.nullcontext() if kernels else minigrad.kernels.disabled():
            optim.SGD([a, b], lr=0.1).step()
        results.append(a.tolist())
    np.testing.assert_allclose(results, 0.6, rtol=1e-6)
