"""Every schedule against PyTorch: 100 steps, two parameter groups, momentum included."""

import copy
import math
import pickle
import warnings

import pytest

import minigrad
from minigrad.optim import lr_scheduler as ours

torch = pytest.importorskip("torch")
theirs = torch.optim.lr_scheduler


def optimizer_of(library, rule="SGD", **settings):
    groups = [{"params": [library.zeros(2, requires_grad=True)]}]
    groups.append({"params": [library.zeros(3, requires_grad=True)], "lr": 0.03})
    return getattr(library.optim, rule)(groups, lr=0.1, **settings)


def rates(optimizer):
    """The learning rate and the momentum of each group."""
    return [(g["lr"], g["betas"][0] if "betas" in g else g.get("momentum", 0.0)) for g in optimizer.param_groups]


def follow(library, schedulers, make, steps=100, rule="SGD", **settings):
    optimizer = optimizer_of(library, rule, **settings)
    made = make(schedulers, optimizer)
    made = made if isinstance(made, list) else [made]
    seen = [rates(optimizer)]
    for _ in range(steps):
        optimizer.step()
        for scheduler in made:
            scheduler.step()
        seen.append(rates(optimizer))
        assert made[-1].get_last_lr() == [lr for lr, _ in seen[-1]]
    return seen


def compare(seen, expected):
    for step, (a, b) in enumerate(zip(seen, expected, strict=True)):
        for group, (x, y) in enumerate(zip(a, b, strict=True)):
            assert x == pytest.approx(y, rel=1e-12, abs=1e-18), f"step {step}, group {group}"


SCHEDULES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 0.95**t),
    "lambda per group": lambda s, o: s.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: math.cos(t)]),
    "step": lambda s, o: s.StepLR(o, 7, gamma=0.5),
    "multi-step": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 60], gamma=0.3),
    "constant": lambda s, o: s.ConstantLR(o, factor=0.4, total_iters=9),
    "constant 0 iterations": lambda s, o: s.ConstantLR(o, factor=0.4, total_iters=0),
    "linear": lambda s, o: s.LinearLR(o, start_factor=0.25, end_factor=0.8, total_iters=30),
    "linear default": lambda s, o: s.LinearLR(o),
    "linear 0 iterations": lambda s, o: s.LinearLR(o, 0.5, total_iters=0),
    "linear 1 iteration, down to 0": lambda s, o: s.LinearLR(o, 1.0, 0.0, total_iters=1),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda t: 1 - 1 / (t + 3)),
    "multiplicative per group": lambda s, o: s.MultiplicativeLR(o, [lambda t: 0.9, lambda t: 1.02]),
    "polynomial": lambda s, o: s.PolynomialLR(o, 30, 2.0),
    "polynomial default": lambda s, o: s.PolynomialLR(o),
    "polynomial 0 iterations": lambda s, o: s.PolynomialLR(o, 0),
    "polynomial 1 iteration": lambda s, o: s.PolynomialLR(o, 1, 0.5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=20, eta_min=0.001),
    "cosine above the first rate": lambda s, o: s.CosineAnnealingLR(o, T_max=5, eta_min=0.5),
    "cosine T_max 1": lambda s, o: s.CosineAnnealingLR(o, T_max=1),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=7, eta_min=0.002),
    "restarts growing": lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "triangular": lambda s, o: s.CyclicLR(o, [0.001, 0.01], [0.1, 0.2], step_size_up=5, step_size_down=9),
    "triangular2": lambda s, o: s.CyclicLR(o, 0.001, 0.1, step_size_up=6, mode="triangular2"),
    "exp_range": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 8, mode="exp_range", gamma=0.97, base_momentum=0.5),
    "scale_fn": lambda s, o: s.CyclicLR(o, 0.001, 0.1, 8, scale_fn=lambda c: 1 / (1 + c), max_momentum=0.95),
    "scale_fn per step": lambda s, o: s.CyclicLR(
        o, 0.001, 0.1, 8, scale_fn=lambda t: 0.99**t, scale_mode="iterations", cycle_momentum=False
    ),
    "one cycle": lambda s, o: s.OneCycleLR(o, [0.5, 0.7], total_steps=101),
    "one cycle linear": lambda s, o: s.OneCycleLR(
        o, 0.5, epochs=11, steps_per_epoch=10, anneal_strategy="linear", pct_start=0.4, base_momentum=0.7
    ),
    "one cycle three phases": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=120, three_phase=True, div_factor=10, final_div_factor=50
    ),
    "one cycle without momentum": lambda s, o: s.OneCycleLR(o, 0.5, total_steps=101, cycle_momentum=False),
    "one cycle linear three phases": lambda s, o: s.OneCycleLR(
        o, 0.5, total_steps=101, three_phase=True, pct_start=0.5, anneal_strategy="linear"
    ),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 10), s.ExponentialLR(o, 0.97), s.StepLR(o, 7)]),
    "chained alone": lambda s, o: s.ChainedScheduler((s.PolynomialLR(o, 20),), optimizer=o),
    "sequence with restarts": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, total_iters=4), s.CosineAnnealingWarmRestarts(o, 3, 2), s.PolynomialLR(o, 9)], [4, 30]
    ),
    "sequence with milestones at one place": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.3, 5), s.ExponentialLR(o, 0.9), s.StepLR(o, 3)], [6, 6]
    ),
    "two at once": lambda s, o: [s.ConstantLR(o, 0.5, 10), s.ExponentialLR(o, 0.97)],
    "three at once": lambda s, o: [
        s.StepLR(o, 9),
        s.MultiStepLR(o, [4, 50], 2.0),
        s.CosineAnnealingLR(o, 30),
    ],
    "warm-up, then cosine": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=10), s.CosineAnnealingLR(o, 50)], [10]
    ),
    "sequence of four": lambda s, o: s.SequentialLR(
        o,
        [s.ConstantLR(o, 0.3, 5), s.ExponentialLR(o, 0.9), s.StepLR(o, 4, 0.5), s.MultiStepLR(o, [3, 6])],
        [8, 30, 60],
    ),
    "sequence with lambda": lambda s, o: s.SequentialLR(
        o, [s.LambdaLR(o, lambda t: t / 10 + 0.01), s.LinearLR(o, 0.5, total_iters=7)], [20]
    ),
    "sequence that starts with the second": lambda s, o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.3, 5), s.ExponentialLR(o, 0.9)], [0]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("rule", ["SGD", "Adam"])
def test_same_rates_as_pytorch(name, rule):
    make = SCHEDULES[name]
    settings = {"momentum": 0.9} if rule == "SGD" else {}
    compare(
        follow(minigrad, ours, make, rule=rule, **settings),
        follow(torch, theirs, make, rule=rule, **settings),
    )


@pytest.mark.parametrize("name", [n for n in SCHEDULES if "at once" not in n])
def test_state_dict_goes_on_where_it_stopped(name):
    make = SCHEDULES[name]
    whole = follow(minigrad, ours, make, momentum=0.9)
    optimizer = optimizer_of(minigrad, momentum=0.9)
    scheduler = make(ours, optimizer)
    for _ in range(40):
        optimizer.step()
        scheduler.step()
    saved = pickle.loads(pickle.dumps((optimizer.state_dict(), scheduler.state_dict())))

    optimizer = optimizer_of(minigrad, momentum=0.9)
    scheduler = make(ours, optimizer)
    optimizer.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    for step in range(41, 101):
        optimizer.step()
        scheduler.step()
        compare([rates(optimizer)], [whole[step]])


def test_callable_objects_are_saved_by_their_attributes():
    class Power:
        def __init__(self, base):
            self.base = base

        def __call__(self, t):
            return self.base**t

    optimizer = optimizer_of(minigrad)
    saved = ours.LambdaLR(optimizer, [Power(0.5), lambda t: 1.0]).state_dict()
    assert saved["lr_lambdas"] == [{"base": 0.5}, None]
    other = ours.LambdaLR(optimizer_of(minigrad), [Power(0.9), lambda t: 1.0])
    other.load_state_dict(saved)
    assert other.lr_lambdas[0](1) == 0.5


@pytest.mark.parametrize("name", ["step", "multi-step", "constant", "linear", "exponential", "cosine", "polynomial"])
def test_jumping_to_an_epoch(name):
    def jump(library, schedulers):
        optimizer = optimizer_of(library)
        scheduler = SCHEDULES[name](schedulers, optimizer)
        optimizer.step()
        seen = []
        for epoch in (5, 1, 40):
            with pytest.warns(UserWarning, match="deprecated"):
                scheduler.step(epoch)
            seen.append(rates(optimizer))
        return seen

    compare(jump(minigrad, ours), jump(torch, theirs))


@pytest.mark.parametrize("growth", [1, 3])
def test_restarts_within_an_epoch(growth):
    def fractions(library, schedulers):
        optimizer = optimizer_of(library)
        scheduler = schedulers.CosineAnnealingWarmRestarts(optimizer, 2, growth)
        seen = []
        for i in range(60):
            scheduler.step(i / 4)
            seen.append(rates(optimizer))
        return seen

    compare(fractions(minigrad, ours), fractions(torch, theirs))


@pytest.mark.parametrize("name", ["step", "exponential", "cosine", "linear", "lambda"])
def test_going_on_from_last_epoch(name):
    def resume(library, schedulers):
        optimizer = optimizer_of(library)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
            group["lr"] *= 0.5
        makers = {
            "step": lambda: schedulers.StepLR(optimizer, 3, last_epoch=6),
            "exponential": lambda: schedulers.ExponentialLR(optimizer, 0.9, last_epoch=6),
            "cosine": lambda: schedulers.CosineAnnealingLR(optimizer, 20, last_epoch=6),
            "linear": lambda: schedulers.LinearLR(optimizer, total_iters=20, last_epoch=6),
            "lambda": lambda: schedulers.LambdaLR(optimizer, lambda t: 0.9**t, last_epoch=6),
        }
        scheduler = makers[name]()
        seen = [rates(optimizer)]
        for _ in range(20):
            optimizer.step()
            scheduler.step()
            seen.append(rates(optimizer))
        return seen

    compare(resume(minigrad, ours), resume(torch, theirs))
    with pytest.raises(KeyError, match="initial_lr"):
        ours.StepLR(optimizer_of(minigrad), 3, last_epoch=6)


def test_a_schedule_of_ones_own():
    class Halving(ours.LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = optimizer_of(minigrad)
    scheduler = Halving(optimizer)
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.05, 0.015]
    with pytest.raises(NotImplementedError, match="get_lr is missing"):
        ours.LRScheduler(optimizer)


def test_the_wrong_order_is_warned_about_once():
    optimizer = optimizer_of(minigrad)
    scheduler = ours.StepLR(optimizer, 3)
    with pytest.warns(UserWarning, match=r"before optimizer.step\(\)"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()
        optimizer.step()
        right = ours.StepLR(optimizer_of(minigrad), 3)
        right.optimizer.step()
        right.step()


def test_bad_arguments_are_named():
    optimizer = optimizer_of(minigrad)
    adagrad = minigrad.optim.Adagrad([minigrad.zeros(2, requires_grad=True)])
    bad = [
        (TypeError, "StepLR: optimizer must be an Optimizer, got float", lambda: ours.StepLR(0.1, 3)),
        (ValueError, "step_size must be positive, got 0", lambda: ours.StepLR(optimizer, 0)),
        (ValueError, "lr_lambda has 3 values", lambda: ours.LambdaLR(optimizer, [abs, abs, abs])),
        (ValueError, "factor must lie between 0 and 1", lambda: ours.ConstantLR(optimizer, 1.5)),
        (ValueError, "start_factor", lambda: ours.LinearLR(optimizer, start_factor=0)),
        (ValueError, "end_factor", lambda: ours.LinearLR(optimizer, end_factor=2)),
        (ValueError, "T_max must be positive", lambda: ours.CosineAnnealingLR(optimizer, 0)),
        (ValueError, "T_0 must be", lambda: ours.CosineAnnealingWarmRestarts(optimizer, 0)),
        (ValueError, "T_mult must be", lambda: ours.CosineAnnealingWarmRestarts(optimizer, 1, 0)),
        (ValueError, "mode must be", lambda: ours.CyclicLR(optimizer, 0.1, 0.2, mode="square")),
        (ValueError, "scale_mode must be", lambda: ours.CyclicLR(optimizer, 0.1, 0.2, scale_mode="x")),
        (ValueError, "base_lr has 1 values", lambda: ours.CyclicLR(optimizer, [0.1], 0.2)),
        (ValueError, "Adagrad has neither", lambda: ours.CyclicLR(adagrad, 0.1, 0.2)),
        (ValueError, "pass total_steps, or both", lambda: ours.OneCycleLR(optimizer, 0.1)),
        (ValueError, "epochs must be a positive", lambda: ours.OneCycleLR(optimizer, 0.1, None, 0, 5)),
        (ValueError, "pct_start", lambda: ours.OneCycleLR(optimizer, 0.1, 10, pct_start=2)),
        (ValueError, "anneal_strategy", lambda: ours.OneCycleLR(optimizer, 0.1, 10, anneal_strategy="exp")),
        (ValueError, "got no schedulers", lambda: ours.SequentialLR(optimizer, [], [])),
        (TypeError, "not an LRScheduler", lambda: ours.SequentialLR(optimizer, [3], [])),
        (ValueError, "ChainedScheduler: got no schedulers", lambda: ours.ChainedScheduler([])),
        (TypeError, r"schedulers\[0\] is a int, not an LRScheduler", lambda: ours.ChainedScheduler([3])),
        (TypeError, "lr_lambda must be a function, got float", lambda: ours.MultiplicativeLR(optimizer, 0.9)),
        (ValueError, "total_iters must not be negative", lambda: ours.PolynomialLR(optimizer, -1)),
    ]
    for kind, message, make in bad:
        with pytest.raises(kind, match=message):
            make()
    step = ours.StepLR(optimizer, 3)
    with pytest.raises(ValueError, match="belongs to another optimizer"):
        ours.SequentialLR(optimizer_of(minigrad), [step], [])
    with pytest.raises(ValueError, match="1 schedulers need 0 milestones, got 1"):
        ours.SequentialLR(optimizer, [step], [4])
    with pytest.raises(ValueError, match="needs a metric"):
        ours.SequentialLR(optimizer, [ours.ReduceLROnPlateau(optimizer)], [])
    with pytest.raises(ValueError, match="belongs to another optimizer"):
        ours.ChainedScheduler([step, ours.StepLR(optimizer_of(minigrad), 3)])
    with pytest.raises(ValueError, match="needs a metric"):
        ours.ChainedScheduler([ours.ReduceLROnPlateau(optimizer)])
    with pytest.raises(ValueError, match="SequentialLR itself"):
        ours.SequentialLR(optimizer, [ours.SequentialLR(optimizer, [step], [])], [])


def test_one_cycle_ends():
    optimizer = optimizer_of(minigrad, momentum=0.9)
    scheduler = ours.OneCycleLR(optimizer, 0.1, total_steps=5)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    optimizer.step()
    with pytest.raises(ValueError, match="step 6 of a cycle of 5"):
        scheduler.step()


PLATEAUS = [
    {},
    {"factor": 0.5, "patience": 2},
    {"mode": "max", "patience": 3, "cooldown": 2},
    {"threshold_mode": "abs", "threshold": 0.05, "patience": 1, "min_lr": [1e-3, 2e-3]},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.05, "patience": 0, "min_lr": 1e-3, "eps": 1e-3},
]


def metrics(kind):
    noise = torch.Generator().manual_seed(1)
    values = (1 / (1 + torch.arange(100) / 10) + 0.1 * torch.rand(100, generator=noise)).tolist()
    if kind == "with NaN":
        values[5] = values[30] = values[31] = values[32] = float("nan")
    return [1.0] * 100 if kind == "flat" else values


@pytest.mark.parametrize("kind", ["falling", "flat", "with NaN"])
@pytest.mark.parametrize("settings", PLATEAUS)
def test_plateau_reduces_when_pytorch_does(settings, kind):
    def reductions(library, schedulers):
        optimizer = optimizer_of(library)
        scheduler = schedulers.ReduceLROnPlateau(optimizer, **settings)
        seen = []
        for i, metric in enumerate(metrics(kind)):
            scheduler.step(library.tensor(metric, dtype=library.float64) if i % 2 else metric)
            seen.append([*rates(optimizer), (float(scheduler.best), scheduler.num_bad_epochs)])
        return seen

    mine = reductions(minigrad, ours)
    compare(mine, reductions(torch, theirs))
    assert mine[-1][0][0] < 0.1


def test_plateau_state_and_reset():
    optimizer = optimizer_of(minigrad)
    scheduler = ours.ReduceLROnPlateau(optimizer, patience=3)
    for metric in (1.0, 0.5, 0.6, 0.7):
        scheduler.step(metric)
    other = ours.ReduceLROnPlateau(optimizer_of(minigrad), patience=10)
    other.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    assert (other.best, other.num_bad_epochs, other.patience, other.last_epoch) == (0.5, 2, 3, 4)
    other._reset()
    assert (other.best, other.num_bad_epochs) == (math.inf, 0)


def test_plateau_errors():
    optimizer = optimizer_of(minigrad)
    with pytest.raises(ValueError, match="factor must be below 1"):
        ours.ReduceLROnPlateau(optimizer, factor=1.0)
    with pytest.raises(ValueError, match="mode must be 'min' or 'max', got 'auto'"):
        ours.ReduceLROnPlateau(optimizer, mode="auto")
    with pytest.raises(ValueError, match="threshold_mode"):
        ours.ReduceLROnPlateau(optimizer, threshold_mode="relative")
    with pytest.raises(ValueError, match="min_lr has 1 values"):
        ours.ReduceLROnPlateau(optimizer, min_lr=[0.1])
    scheduler = ours.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.01, 0.01])
    optimizer.add_param_group({"params": [minigrad.zeros(4, requires_grad=True)]})
    scheduler.step(1.0)
    with pytest.raises(RuntimeError, match="3 parameter groups now and had 2"):
        scheduler.step(1.0)
