"""Schedules at the edge of what their settings allow, and where PyTorch fails or is wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.optim import lr_scheduler as ours

torch = pytest.importorskip("torch")


def optimizer_of(library: Any = minigrad, **settings: Any) -> Any:
    return library.optim.SGD([library.zeros(2, requires_grad=True)], **{"lr": 0.1, "momentum": 0.9, **settings})


def add_group(optimizer: Any, lr: float) -> None:
    optimizer.add_param_group({"params": [minigrad.zeros(3, requires_grad=True)], "lr": lr})


def rates(optimizer: Any, scheduler: Any, count: int) -> list[float]:
    seen = [optimizer.param_groups[0]["lr"]]
    for _ in range(count):
        optimizer.step()
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


def test_a_constant_factor_of_0_gives_the_rate_back() -> None:
    optimizer = optimizer_of()
    assert rates(optimizer, ours.ConstantLR(optimizer, factor=0, total_iters=2), 4) == [0, 0, 0.1, 0.1, 0.1]
    optimizer = optimizer_of()
    scheduler = ours.ConstantLR(optimizer, factor=0, total_iters=2)
    for epoch, expected in ((1, 0), (7, 0.1), (0, 0)):
        with pytest.warns(UserWarning, match="deprecated|before"):
            scheduler.step(epoch)
        assert optimizer.param_groups[0]["lr"] == expected


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("total_steps", [1, 2, 3, 10])
@pytest.mark.parametrize("pct_start", [0.0, 0.1, 1 / 3, 0.5, 1.0])
def test_one_cycle_with_phases_without_width(
    pct_start: float, total_steps: int, three_phase: bool, strategy: str
) -> None:
    optimizer = optimizer_of()
    settings = {"pct_start": pct_start, "three_phase": three_phase, "anneal_strategy": strategy}
    seen = rates(optimizer, ours.OneCycleLR(optimizer, 0.5, total_steps=total_steps, **settings), total_steps - 1)
    assert len(seen) == total_steps
    assert all(0 < lr <= 0.5 for lr in seen)
    if pct_start * total_steps == 1:  # the rise is over with the first step
        assert seen[0] == 0.5
    if pct_start == 1 and not three_phase:
        assert seen[-1] == 0.5
    elif pct_start == 0 or (pct_start * total_steps > 1 and not three_phase):
        assert seen[-1] == pytest.approx(0.5 / 25 / 1e4)


@pytest.mark.parametrize("growth", [1, 2, 3, 10])
@pytest.mark.parametrize("first", [1, 2, 5])
def test_warm_restarts_resume_at_any_epoch(first: int, growth: int) -> None:
    """Step by step, jumping, and made anew with last_epoch: one and the same rate."""
    optimizer = optimizer_of()
    scheduler = ours.CosineAnnealingWarmRestarts(optimizer, first, growth, eta_min=0.01)
    seen = rates(optimizer, scheduler, 250)
    jumping = optimizer_of()
    jumps = ours.CosineAnnealingWarmRestarts(jumping, first, growth, eta_min=0.01)
    for epoch in (*range(251), 3, 242, 121, 0):
        jumps.step(epoch)
        assert jumping.param_groups[0]["lr"] == pytest.approx(seen[epoch], rel=1e-9), epoch
    for last in (0, 1, 4, 6, 7, 30, 120, 242):
        resumed = optimizer_of()
        resumed.param_groups[0]["initial_lr"] = 0.1
        again = ours.CosineAnnealingWarmRestarts(resumed, first, growth, eta_min=0.01, last_epoch=last)
        assert rates(resumed, again, 5) == pytest.approx(seen[last + 1 : last + 7], rel=1e-9), last


def test_warm_restarts_know_whole_cosines_exactly() -> None:
    """log(243, 3) is 4.999…: the fifth cosine's end is the sixth one's beginning all the same."""
    optimizer = optimizer_of()
    scheduler = ours.CosineAnnealingWarmRestarts(optimizer, 2, 3)
    scheduler.step(2 * (3**5 - 1) // 2)
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert scheduler.T_cur == 0


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("threshold", [1e-4, 0.1, 1.0, 2.0])
def test_a_plateau_of_negative_metrics_is_one_of_positive_ones_mirrored(mode: str, sign: int, threshold: float) -> None:
    """``min`` of x and ``max`` of −x are the same question, and getting worse is never better."""
    values = np.random.default_rng(0).standard_normal(60).cumsum() / 4
    mirrored = "max" if mode == "min" else "min"
    one, other = (ours.ReduceLROnPlateau(optimizer_of(), m, patience=2, threshold=threshold) for m in (mode, mirrored))
    best = None
    for value in sign * values:
        one.step(value)
        other.step(-value)
        assert (one.best, one.num_bad_epochs, one.get_last_lr()) == (
            -other.best,
            other.num_bad_epochs,
            other.get_last_lr(),
        )
        if best is not None:
            assert one.best == best or (one.best < best) == (mode == "min")
        best = one.best


def test_a_negative_metric_that_gets_worse_is_bad() -> None:
    optimizer = optimizer_of()
    scheduler = ours.ReduceLROnPlateau(optimizer, patience=3, threshold=0.1)
    for metric in (-1.0, -0.95, -0.91, -1.05):
        scheduler.step(metric)
    assert (scheduler.best, scheduler.num_bad_epochs) == (-1.0, 3)
    scheduler.step(-1.2)
    assert (scheduler.best, scheduler.num_bad_epochs) == (-1.2, 0)
    scheduler = ours.ReduceLROnPlateau(optimizer, "max", threshold=0.1)
    for metric in (-1.0, -0.95):
        scheduler.step(metric)
    assert scheduler.best == -1.0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: ours.StepLR(o, 2, 0.5), 0.2),
        (lambda o: ours.ExponentialLR(o, 0.5), 0.2),
        (lambda o: ours.MultiplicativeLR(o, lambda t: 0.5), 0.2),
        (lambda o: ours.LambdaLR(o, lambda t: 1 / (t + 1)), 0.4 / 3),
        (lambda o: ours.MultiStepLR(o, [1, 2], 0.5), 0.2),
        (lambda o: ours.CosineAnnealingWarmRestarts(o, 4), 0.2),
        (lambda o: ours.ChainedScheduler([ours.ExponentialLR(o, 0.5), ours.StepLR(o, 2, 0.5)]), 0.1),
        (lambda o: ours.SequentialLR(o, [ours.ExponentialLR(o, 0.3), ours.ExponentialLR(o, 0.5)], [1]), 0.2),
    ],
)
def test_a_group_added_later_takes_part(make: Any, expected: float) -> None:
    optimizer = optimizer_of()
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()
    add_group(optimizer, 0.4)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[1]["lr"] == pytest.approx(expected)
    assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]


def test_a_cosine_with_a_group_added_later() -> None:
    optimizer = optimizer_of()
    scheduler = ours.CosineAnnealingLR(optimizer, 2)
    add_group(optimizer, 0.4)
    for _ in range(9):
        optimizer.step()
        scheduler.step()
        assert optimizer.param_groups[1]["lr"] == pytest.approx(4 * optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda o: ours.CyclicLR(o, 0.1, 0.2),
            "CyclicLR: the optimizer has 3 .* and had 2 .* make the scheduler again",
        ),
        (lambda o: ours.OneCycleLR(o, 0.2, total_steps=9), "OneCycleLR: .*make the scheduler again"),
        (
            lambda o: ours.LambdaLR(o, [lambda t: 1, lambda t: 2]),
            r"append a function for each to scheduler\.lr_lambdas",
        ),
        (lambda o: ours.MultiplicativeLR(o, [lambda t: 1, lambda t: 2]), r"scheduler\.lr_lambdas"),
    ],
)
def test_or_says_what_to_do(make: Any, message: str) -> None:
    optimizer = optimizer_of()
    add_group(optimizer, 0.2)
    scheduler = make(optimizer)
    optimizer.step()
    add_group(optimizer, 0.4)
    before, groups = dict(vars(scheduler)), [dict(group) for group in optimizer.param_groups]
    with pytest.raises(RuntimeError, match=message):
        scheduler.step()
    assert vars(scheduler) == before
    assert [dict(group) for group in optimizer.param_groups] == groups
    if "lr_lambdas" in before:
        scheduler.lr_lambdas.append(lambda t: 0.5)
        scheduler.step()
        assert optimizer.param_groups[2]["lr"] == 0.2


def _fails_from(epoch: int) -> Any:
    def f(t: int) -> float:
        if t >= epoch:
            raise ZeroDivisionError
        return 0.9

    return f


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda o: ours.LambdaLR(o, _fails_from(2)), ZeroDivisionError),
        (lambda o: ours.OneCycleLR(o, 0.2, total_steps=1), ValueError),
        (
            lambda o: ours.ChainedScheduler([ours.ExponentialLR(o, 0.9), ours.LambdaLR(o, _fails_from(2))]),
            ZeroDivisionError,
        ),
        (lambda o: ours.SequentialLR(o, [ours.StepLR(o, 1), ours.LambdaLR(o, _fails_from(1))], [1]), ZeroDivisionError),
    ],
)
def test_a_step_that_fails_leaves_the_schedule_where_it_was(make: Any, error: type[Exception]) -> None:
    optimizer = optimizer_of()
    scheduler = make(optimizer)
    optimizer.step()
    scheduler.step()
    before, state = [dict(group) for group in optimizer.param_groups], repr(scheduler.state_dict())
    for _ in range(2):
        with pytest.raises(error):
            scheduler.step()
        assert [dict(group) for group in optimizer.param_groups] == before
        assert repr(scheduler.state_dict()) == state


def test_a_plateau_that_cannot_reduce_counts_nothing() -> None:
    optimizer = optimizer_of()
    scheduler = ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.01])
    add_group(optimizer, 0.2)
    scheduler.step(1.0)
    before = dict(vars(scheduler))
    with pytest.raises(RuntimeError, match="set scheduler"):
        scheduler.step(2.0)
    assert vars(scheduler) == before
    scheduler.min_lrs = [0.01, 0.05]
    scheduler.step(2.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.05])


def test_a_chain_inside_a_sequence_begins_anew_when_its_turn_comes() -> None:
    """PyTorch takes one step too many where it comes first, and fails where it comes later."""
    for position in (0, 1):
        optimizer = optimizer_of()
        chain = ours.ChainedScheduler([ours.ConstantLR(optimizer, 0.5, 2), ours.ExponentialLR(optimizer, 0.9)])
        other = ours.ConstantLR(optimizer, 1.0)
        scheduler = ours.SequentialLR(optimizer, [chain, other] if position == 0 else [other, chain], [4])
        seen = rates(optimizer, scheduler, 7)
        part = seen[:4] if position == 0 else seen[4:]
        assert part == pytest.approx([0.05, 0.045, 0.081, 0.0729])


def test_exponential_by_a_factor_of_0_stays_at_0() -> None:
    optimizer = optimizer_of()
    assert rates(optimizer, ours.ExponentialLR(optimizer, 0.0), 3) == [0.1, 0, 0, 0]
    assert not math.isnan(optimizer.param_groups[0]["lr"])
