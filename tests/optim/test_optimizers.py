"""Every optimizer against PyTorch, and its compiled rule against the textbook."""

import contextlib
import copy

import numpy as np
import pytest

import minigrad
from minigrad.kernels.machine import threads

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), (), (2, 3, 2, 2)]

# (class, settings): every branch of every rule.
RULES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.05, "momentum": 0.8, "alpha": 0.9, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.05, "centered": True, "maximize": True}),
    ("RMSprop", {"lr": 0.05, "centered": True, "momentum": 0.5, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.3}),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"lr": 0.3, "maximize": True, "eps": 1e-2}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05, "eps": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.5), "eps": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.2, "etas": (0.3, 1.5), "step_sizes": (0.01, 0.5), "maximize": True}),
]
RULE_NAMES = list(dict.fromkeys(name for name, _ in RULES))
IDS = [f"{name}-{'-'.join(settings)}" for name, settings in RULES]


@pytest.fixture(autouse=True)
def in_float64():
    """PyTorch's NAdam keeps the product of its factors in the default dtype, minigrad in float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def values(seed, dtype, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def parameters(library, arrays):
    if library is torch:
        return [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
    return [minigrad.nn.Parameter(minigrad.tensor(a)) for a in arrays]


def set_gradients(library, params, seed, dtype):
    """Gradients that depend on the parameters, as a loss's would, plus noise that is the same for both
    libraries.
    """
    for p, noise in zip(params, values(seed, dtype, [tuple(p.shape) for p in params]), strict=True):
        p.grad = p.detach() * 0.5 + library.tensor(noise)


def run(library, name, settings, dtype, steps=25):
    params = parameters(library, values(0, dtype))
    optimizer = getattr(library.optim, name)(params, **settings)
    for step in range(steps):
        set_gradients(library, params, step + 1, dtype)
        optimizer.step()
    return [p.detach().numpy() for p in params], optimizer


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "textbook"])
@pytest.mark.parametrize(("dtype", "rtol", "atol"), [("float64", 1e-10, 1e-10), ("float32", 2e-5, 2e-6)])
@pytest.mark.parametrize(("name", "settings"), RULES, ids=IDS)
def test_same_numbers_as_pytorch(name, settings, dtype, rtol, atol, fused):
    with contextlib.nullcontext() if fused else minigrad.kernels.disabled():
        ours, _ = run(minigrad, name, settings, dtype)
    theirs, _ = run(torch, name, settings, dtype)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "settings"), RULES, ids=IDS)
def test_fused_rule_agrees_with_the_textbook(name, settings, dtype, monkeypatch):
    """Also where the work is split over threads, and at sizes that no vector register divides."""
    monkeypatch.setattr(threads, "WORTH", 20_000)  # the last two are shared out, the first two are not
    results = []
    for fused in (True, False):
        params = parameters(minigrad, values(0, dtype, [(1,), (37,), (257, 300), (2**16 + 33,)]))
        optimizer = getattr(minigrad.optim, name)(params, **settings)
        with contextlib.nullcontext() if fused else minigrad.kernels.disabled():
            for step in range(5):
                set_gradients(minigrad, params, step + 1, dtype)
                optimizer.step()
        results.append([p.detach().numpy() for p in params])
    tolerance = {"float64": 1e-12, "float32": 1e-5}[dtype]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_the_switch_chooses_the_path(monkeypatch):
    calls = []
    minigrad.optim.SGD.on_cpu.load()
    monkeypatch.setattr(minigrad.optim.SGD.on_cpu, "compute", lambda p, *rest: calls.append(p.shape))
    p = minigrad.nn.Parameter(minigrad.ones(3))
    p.grad = minigrad.ones(3)
    optimizer = minigrad.optim.SGD([p], lr=1.0)
    optimizer.step()
    assert calls == [(3,)]
    assert p.tolist() == [1, 1, 1]
    with minigrad.kernels.disabled():
        optimizer.step()
    assert len(calls) == 1
    assert p.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", RULE_NAMES)
def test_gradients_stay_as_they_are_and_nan_is_not_hidden(name):
    p = minigrad.nn.Parameter(minigrad.ones(100, dtype=minigrad.float64))
    grad = np.linspace(-1, 1, 100)
    grad[17] = np.nan
    p.grad = minigrad.tensor(grad)
    settings = {} if name == "Rprop" else {"weight_decay": 0.1}
    getattr(minigrad.optim, name)([p], lr=0.1, **settings).step()
    np.testing.assert_array_equal(p.grad.numpy(), grad)
    assert np.flatnonzero(np.isnan(p.detach().numpy())).tolist() == [17]


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_parameters_that_are_not_contiguous_or_not_float32(name):
    """The compiled rules do not take them: the textbook does, in place."""
    base = minigrad.randn(4, 3)
    strided = minigrad.nn.Parameter(base.t())
    half = minigrad.nn.Parameter(minigrad.ones(5, dtype=minigrad.float16))
    twin = torch.nn.Parameter(torch.tensor(base.numpy().copy()).t())
    ours = getattr(minigrad.optim, name)([strided, half], lr=0.5)
    theirs = getattr(torch.optim, name)([twin], lr=0.5)
    for seed in range(3):
        (noise,) = values(seed, "float32", [(3, 4)])
        strided.grad, twin.grad = minigrad.tensor(noise), torch.tensor(noise)
        half.grad = minigrad.ones(5, dtype=minigrad.float16)
        ours.step()
        theirs.step()
    np.testing.assert_allclose(strided.detach().numpy(), twin.detach().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(base.t().numpy(), strided.detach().numpy())
    assert half.dtype == minigrad.float16
    assert (half < 0).all()


def test_memory_of_a_strided_parameter_serves_it_when_it_becomes_contiguous():
    (start,), (first, second) = values(0, "float32", [(4, 3)]), values(1, "float32", [(3, 4), (3, 4)])
    ours = minigrad.nn.Parameter(minigrad.tensor(start).t())
    theirs = torch.nn.Parameter(torch.tensor(start).t())
    a, b = minigrad.optim.SGD([ours], lr=0.1, momentum=0.9), torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    for noise in (first, second, first):
        ours.grad, theirs.grad = minigrad.tensor(noise), torch.tensor(noise)
        a.step()
        b.step()
        ours.data, theirs.data = ours.data.contiguous(), theirs.data.contiguous()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RULE_NAMES)
def test_a_step_between_forward_and_backward_is_noticed(name):
    w = minigrad.nn.Parameter(minigrad.randn(3, 3))
    y = (minigrad.randn(2, 3) @ w).exp() @ w
    w.grad = minigrad.ones(3, 3)
    getattr(minigrad.optim, name)([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.randn(2, 3))


@pytest.mark.parametrize(("name", "settings"), RULES, ids=IDS)
def test_state_dict_goes_on_bit_for_bit(name, settings):
    whole, _ = run(minigrad, name, settings, "float32", steps=8)
    first, optimizer = run(minigrad, name, settings, "float32", steps=5)
    saved = copy.deepcopy(optimizer.state_dict())
    params = parameters(minigrad, first)
    resumed = getattr(minigrad.optim, name)(params, lr=123.0)
    resumed.load_state_dict(saved)
    for step in range(5, 8):
        set_gradients(minigrad, params, step + 1, "float32")
        resumed.step()
    for a, b in zip(params, whole, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b)


@pytest.mark.parametrize(("name", "settings"), RULES, ids=IDS)
def test_state_dicts_travel_to_and_from_pytorch(name, settings):
    whole, _ = run(torch, name, settings, "float64", steps=8)
    for source, target in ((torch, minigrad), (minigrad, torch)):
        first, optimizer = run(source, name, settings, "float64", steps=5)
        saved = optimizer.state_dict()
        # Tensors become arrays, the form in which a file hands them over.
        saved["state"] = {
            i: {
                k: v.numpy() if source is torch and torch.is_tensor(v)
                else torch.tensor(v.numpy()) if isinstance(v, minigrad.Tensor)
                else v
                for k, v in kept.items()
            }
            for i, kept in saved["state"].items()
        }  # fmt: skip
        params = parameters(target, [a.copy() for a in first])
        resumed = getattr(target.optim, name)(params, **settings)
        resumed.load_state_dict(saved)
        for step in range(5, 8):
            set_gradients(target, params, step + 1, "float64")
            resumed.step()
        for a, b in zip(params, whole, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-10, atol=1e-10)


def test_training_a_model_agrees_with_pytorch():
    """Groups with their own rates, a parameter without a gradient, gradients from the engine."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((20, 4)), rng.standard_normal((20, 2))
    start = [rng.standard_normal(s) for s in [(4, 8), (8,), (8, 2), (2,)]]
    finals = []
    for library in (minigrad, torch):
        w1, b1, w2, b2 = parameters(library, start)
        (unused,) = parameters(library, [np.ones(3)])
        groups = [{"params": [w1, b1]}, {"params": [w2, b2, unused], "lr": 0.02, "weight_decay": 0.1}]
        optimizer = library.optim.AdamW(groups, lr=0.01)
        for _ in range(30):
            optimizer.zero_grad()
            out = (library.tensor(x) @ w1 + b1).tanh() @ w2 + b2
            loss = ((out - library.tensor(y)) ** 2).mean()
            loss.backward()
            optimizer.step()
        assert unused.tolist() == [1, 1, 1]
        finals.append([p.detach().numpy() for p in (w1, b1, w2, b2)])
    for a, b in zip(*finals, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)
