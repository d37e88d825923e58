"""What all optimizers share: groups, state, closures, and errors that say what is wrong."""

import copy
import inspect

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.optim import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop, Rprop


def parameter(*shape):
    return nn.Parameter(minigrad.randn(*shape))


def with_gradient(*shape):
    p = parameter(*shape)
    p.grad = minigrad.randn(*shape)
    return p


def test_groups_take_defaults_and_keep_their_own():
    a, b, c = parameter(2), parameter(3), parameter(4)
    optimizer = SGD([{"params": a, "lr": 0.5}, {"params": [b]}], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": [c], "momentum": 0.0})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.1, 0.1]
    assert [g["momentum"] for g in optimizer.param_groups] == [0.9, 0.9, 0.0]
    assert optimizer.param_groups[2]["params"][0] is c


def test_a_rate_changed_between_steps_counts():
    p = parameter(3)
    before = p.detach().clone()
    p.grad = minigrad.ones(3)
    optimizer = SGD([p], lr=1.0)
    optimizer.param_groups[0]["lr"] = 0.25
    optimizer.step()
    np.testing.assert_allclose((before - p.detach()).numpy(), 0.25, rtol=1e-6)


def test_named_parameters_are_accepted():
    model = nn.Linear(2, 3)
    optimizer = SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.param_groups[0]["params"][0] is model.weight
    with pytest.raises(ValueError, match="all parameters or none"):
        SGD([("a", parameter(2)), parameter(2)], lr=0.1)


def test_the_parameters_stay_the_same_objects_and_the_same_memory():
    p = with_gradient(4, 4)
    array = p._array
    Adam([p], lr=0.1).step()
    assert p._array is array


def test_zero_grad():
    p = with_gradient(3)
    held = p.grad
    optimizer = SGD([p], lr=0.1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is held
    assert held.tolist() == [0, 0, 0]
    optimizer.zero_grad()
    assert p.grad is None


@pytest.fixture(params=["optimizer", "module"])
def zero(request):
    """zero_grad(set_to_none=False) of an optimizer, or of a module, with that parameter."""

    def zero(p):
        if request.param == "optimizer":
            SGD([p], lr=0.1).zero_grad(set_to_none=False)
        else:
            module = nn.Module()
            module.weight = p
            module.zero_grad(set_to_none=False)

    return zero


def test_zero_grad_fills_a_view_in_its_own_memory(zero):
    """Gradients that are pieces of one buffer stay such."""
    buffer = minigrad.randn(20)
    for view in (buffer[2:8].view(2, 3), buffer[10:16].view(3, 2).t(), buffer[:12:2].view(2, 3)):
        buffer.fill_(1)
        p = parameter(2, 3)
        p.grad = view
        zero(p)
        assert p.grad is view
        assert buffer.sum().item() == 14


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_zero_grad_of_every_shape_and_layout(zero, shape):
    rows = np.ones(shape, np.float32)
    frozen = rows.copy()
    frozen.flags.writeable = False
    expanded = minigrad.ones(*(1,) * len(shape)).expand(*shape)
    required = minigrad.ones(*shape).requires_grad_()
    for grad in (minigrad.tensor(rows), minigrad.Tensor._wrap(frozen), expanded, required):
        p = parameter(*shape)
        p.grad = grad
        zero(p)
        assert p.grad.shape == shape
        assert (p.grad.numpy() == 0).all()
        assert not p.grad.requires_grad
        p.grad += 1  # has memory of its own
        assert (p.grad.numpy() == 1).all()
    assert (frozen == 1).all()


def test_zero_grad_leaves_a_gradient_that_a_graph_needs(zero):
    p = nn.Parameter(minigrad.tensor([1.0, 2.0, 3.0]))
    (p**3).backward(minigrad.ones(3), create_graph=True)
    first = p.grad
    penalty = (first**2).sum()
    zero(p)
    assert p.grad.tolist() == [0, 0, 0]
    assert not p.grad.requires_grad
    assert first.tolist() == [3, 12, 27]
    penalty.backward()  # d/dp (3 p²)² = 36 p³
    np.testing.assert_allclose(p.grad.numpy(), [36, 288, 972])


def test_zero_grad_of_what_a_graph_has_saved_is_noticed(zero):
    p = nn.Parameter(minigrad.tensor([1.0, 2.0]))
    p.grad = minigrad.ones(2)
    x = minigrad.ones(2, requires_grad=True)
    y = x * p.grad
    zero(p)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.ones(2))


def test_step_calls_the_closure_with_gradients_on():
    p = parameter(3)
    x = minigrad.randn(3)
    optimizer = SGD([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * x).sum()
        loss.backward(minigrad.tensor(2.0))
        return loss

    before = p.detach().clone()
    with minigrad.no_grad():
        loss = optimizer.step(closure)
    np.testing.assert_allclose(loss.item(), float((before * x).sum()), rtol=1e-5)
    np.testing.assert_allclose(p.detach().numpy(), (before - 0.2 * x).numpy(), rtol=1e-5)
    assert optimizer.step() is None


def test_a_rule_of_ones_own():
    class Sign(Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @minigrad.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p -= group["lr"] * p.grad.sign()
                        self.state[p]["calls"] = self.state[p].get("calls", 0) + 1

    p = parameter(3)
    before = p.detach().clone()
    p.grad = minigrad.tensor([2.0, -3.0, 0.0])
    optimizer = Sign([p], lr=0.5)
    optimizer.step()
    np.testing.assert_allclose((before - p.detach()).tolist(), [0.5, -0.5, 0.0], rtol=1e-6)
    assert optimizer.state_dict()["state"] == {0: {"calls": 1}}
    with pytest.raises(NotImplementedError, match="step is missing"):
        Optimizer([p], {}).step()


def test_state_dict_has_pytorchs_layout():
    a, b, c = with_gradient(2), with_gradient(3), with_gradient(4)
    optimizer = Adam([{"params": [a]}, {"params": [b, c], "lr": 0.5}], lr=0.1)
    optimizer.step()
    saved = optimizer.state_dict()
    assert [g["params"] for g in saved["param_groups"]] == [[0], [1, 2]]
    assert [g["lr"] for g in saved["param_groups"]] == [0.1, 0.5]
    assert set(saved["state"]) == {0, 1, 2}
    assert set(saved["state"][2]) == {"step", "exp_avg", "exp_avg_sq"}
    assert saved["state"][2]["exp_avg"].shape == (4,)


def test_loading_converts_to_the_parameters_dtype_and_copies():
    p = with_gradient(3)
    source = Adam([p])
    source.step()
    saved = source.state_dict()
    q = nn.Parameter(minigrad.randn(3, dtype=minigrad.float64))
    target = Adam([q])
    target.load_state_dict(saved)
    moment = target.state[q]["exp_avg"]
    assert moment.dtype == minigrad.float64
    q.grad = minigrad.randn(3, dtype=minigrad.float64)
    before = saved["state"][0]["exp_avg"].clone()
    target.step()
    assert minigrad.equal(saved["state"][0]["exp_avg"], before)


def test_a_state_that_does_not_fit_changes_nothing():
    p = with_gradient(3)
    optimizer = SGD([p], lr=0.1, momentum=0.9)
    optimizer.step()
    saved = copy.deepcopy(optimizer.state_dict())
    before = optimizer.state[p]["momentum_buffer"]

    wrong = copy.deepcopy(saved)
    wrong["param_groups"][0]["lr"] = 9.0
    wrong["state"][0]["momentum_buffer"] = minigrad.zeros(7)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 has shape \(7,\).*\(3,\)"):
        optimizer.load_state_dict(wrong)
    other = SGD([parameter(3), parameter(2)], lr=9.0)
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, this optimizer of \[1\]"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="'state' and 'param_groups'"):
        optimizer.load_state_dict({"weights": 1})
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state[p]["momentum_buffer"] is before


def test_repr_lists_the_settings():
    text = repr(SGD([parameter(2)], lr=0.1, momentum=0.9))
    assert text.startswith("SGD (\nParameter Group 0\n")
    assert "    lr: 0.1\n" in text
    assert "    momentum: 0.9\n" in text
    assert text.endswith(")")


def test_bad_parameters_are_explained():
    p = parameter(3)
    with pytest.raises(TypeError, match="single Parameter; put it in a list"):
        SGD(p, lr=0.1)
    with pytest.raises(TypeError, match="iterable of parameters, got int"):
        SGD(3, lr=0.1)
    with pytest.raises(TypeError, match="set, whose order"):
        SGD({p}, lr=0.1)
    with pytest.raises(TypeError, match="parameter 1 is a float"):
        SGD([p, 0.5], lr=0.1)
    with pytest.raises(ValueError, match=r"non-leaf.*parameter 0 \(shape \(3,\)\)"):
        SGD([p * 2], lr=0.1)
    with pytest.raises(ValueError, match="appears twice"):
        SGD([p, p], lr=0.1)
    optimizer = SGD([p], lr=0.1)
    with pytest.raises(ValueError, match="another group"):
        optimizer.add_param_group({"params": [p]})
    with pytest.raises(TypeError, match="dict with 'params'"):
        optimizer.add_param_group([parameter(2)])
    assert len(optimizer.param_groups) == 1


def test_a_generator_used_twice_is_explained():
    params = nn.Linear(2, 2).parameters()
    SGD(params, lr=0.1)
    with pytest.raises(ValueError, match="call it again for each optimizer"):
        SGD(params, lr=0.1)
    with pytest.raises(ValueError, match="no parameters"):
        SGD([{"params": params}], lr=0.1)


@pytest.mark.parametrize("rule", [SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, NAdam, RAdam, Adamax, Rprop])
def test_bad_settings_are_named(rule):
    name = rule.__name__
    with pytest.raises(ValueError, match=f"{name}: lr must not be negative, got -0.1"):
        rule([parameter(2)], lr=-0.1)
    if rule is not Rprop:
        with pytest.raises(ValueError, match="weight_decay must not be negative"):
            rule([parameter(2)], lr=0.1, weight_decay=float("nan"))
    with pytest.raises(NotImplementedError, match=f"{name}: differentiable=True is not in minigrad"):
        rule([parameter(2)], lr=0.1, differentiable=True)
    rule([parameter(2)], lr=0.1, foreach=True)  # chooses between PyTorch's implementations: nothing to choose here


def test_bad_settings_of_single_rules():
    with pytest.raises(ValueError, match="nesterov needs momentum"):
        SGD([parameter(2)], lr=0.1, nesterov=True)
    with pytest.raises(ValueError, match=r"beta2 must lie in \[0, 1\), got 1.0"):
        Adam([parameter(2)], betas=(0.9, 1.0))
    with pytest.raises(NotImplementedError, match="AdamW: capturable=True"):
        AdamW([parameter(2)], capturable=True)
    with pytest.raises(ValueError, match="rho"):
        Adadelta([parameter(2)], rho=1.5)
    with pytest.raises(ValueError, match="momentum must not be negative"):
        RMSprop([parameter(2)], momentum=-1)
    with pytest.raises(ValueError, match="initial_accumulator_value"):
        Adagrad([parameter(2)], initial_accumulator_value=-1)
    with pytest.raises(ValueError, match="NAdam: momentum_decay must not be negative"):
        NAdam([parameter(2)], momentum_decay=-1)
    with pytest.raises(ValueError, match=r"Rprop: etas must be \(below 1, above 1\)"):
        Rprop([parameter(2)], etas=(0.5, 0.9))
    with pytest.raises(ValueError, match=r"Rprop: step_sizes must be \(shortest, longest\)"):
        Rprop([parameter(2)], step_sizes=(1, 0.5))
    for rule in (NAdam, RAdam, Adamax):
        with pytest.raises(ValueError, match=f"{rule.__name__}: beta1 must lie"):
            rule([parameter(2)], betas=(1.0, 0.9))
        with pytest.raises(NotImplementedError, match=f"{rule.__name__}: capturable=True"):
            rule([parameter(2)], capturable=True)


@pytest.mark.parametrize("name", [n for n in optim.__all__ if isinstance(getattr(optim, n), type) and n != "Optimizer"])
def test_signatures_and_state_keys_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    ours, theirs = (inspect.signature(getattr(library.optim, name)).parameters for library in (minigrad, torch))
    assert [(n, p.kind, p.default) for n, p in ours.items()] == [(n, p.kind, p.default) for n, p in theirs.items()]
    kept = []
    for library in (minigrad, torch):
        p = library.nn.Parameter(library.ones(3))
        optimizer = getattr(library.optim, name)([p])

        def closure(p=p):
            p.grad = None
            loss = (p**2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        group = optimizer.state_dict()["param_groups"][0]
        choices = {"foreach", "fused", "capturable", "differentiable"}  # of implementations
        kept.append((set(group) - choices, set(optimizer.state_dict()["state"].get(0, {})) - {"al"}))
    assert kept[0][0] == kept[1][0]
    assert kept[0][1] - {"momentum_buffer"} == kept[1][1] - {"momentum_buffer"}
