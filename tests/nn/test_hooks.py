"""Hooks: when they run, with what, and what they may change; numbers compared with PyTorch."""

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.nn import hooks

torch = pytest.importorskip("torch")


class Double(nn.Module):
    def forward(self, x, *, extra=0):
        return 2 * x + extra


def test_forward_hooks_run_in_order_and_may_replace():
    log = []
    module = Double()
    module.register_forward_hook(lambda m, args, out: log.append(("first", args, out)))
    module.register_forward_hook(lambda m, args, out: out + 1)
    module.register_forward_hook(lambda m, args, out: log.append(("third", args, out)))
    module.register_forward_hook(lambda m, args, out: log.append(("zeroth", args, out)), prepend=True)
    assert module(5) == 11
    assert log == [("zeroth", (5,), 10), ("first", (5,), 10), ("third", (5,), 11)]


def test_forward_pre_hooks_may_replace_the_inputs():
    module = Double()
    one = module.register_forward_pre_hook(lambda m, args: args[0] + 1)  # a single value stands for (value,)
    module.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    assert module(1) == 40
    one.remove()
    one.remove()
    assert module(1) == 20
    with module.register_forward_pre_hook(lambda m, args: (args[0] + 1,), prepend=True):
        assert module(1) == 40
    assert module(1) == 20


def test_hooks_with_keywords():
    module = Double()
    seen = []
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"extra": kwargs["extra"] + 1}), with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True)
    assert module(1, extra=5) == 8
    assert seen == [((1,), {"extra": 6}, 8)]
    module.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"None or \(args, kwargs\), got int"):
        module(1, extra=5)


def test_always_call_runs_after_a_failure():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError("inside")

    module, seen = Fails(), []
    module.register_forward_hook(lambda m, args, out: seen.append(("normal", out)))
    module.register_forward_hook(lambda m, args, out: seen.append(("always", out)), always_call=True)
    with pytest.raises(ValueError, match="inside"):
        module(1)
    assert seen == [("always", None)]
    works, seen = Double(), []
    works.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    works(1)
    assert seen == [2]


def test_without_hooks_the_call_goes_straight_to_forward(monkeypatch):
    def fail(*args):
        raise AssertionError("the slow path was taken")

    monkeypatch.setattr("minigrad.nn.hooks.call_with_hooks", fail)
    module = Double()
    assert module(1) == 2
    handle = module.register_forward_hook(lambda *a: None)
    with pytest.raises(AssertionError):
        module(1)
    assert Double()(1) == 2
    handle.remove()
    assert module(1) == 2


def test_global_hooks_see_every_module_and_come_first():
    log = []
    module = nn.Sequential(nn.Identity(), Double())
    module[1].register_forward_hook(lambda m, args, out: log.append("own"))
    pre = hooks.register_module_forward_pre_hook(lambda m, args: log.append(f"before {type(m).__name__}"))
    with hooks.register_module_forward_hook(lambda m, args, out: log.append(f"after {type(m).__name__}")):
        module(1)
    pre.remove()
    assert log == [
        "before Sequential",
        "before Identity",
        "after Identity",
        "before Double",
        "after Double",
        "own",
        "after Sequential",
    ]
    log.clear()
    module(1)
    assert log == ["own"]
    assert nn.Module._hooks is None


def test_a_hook_that_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="must be callable, got int"):
        Double().register_forward_hook(3)
    with pytest.raises(NotImplementedError, match="use register_full_backward_hook"):
        Double().register_backward_hook(print)


# ------------------------------------------------------------------ backward hooks


def both(action, shape=(4, 3)):
    """Run ``action(library, x, layer, upstream)`` with the same numbers in both libraries, and compare."""
    rng = np.random.default_rng(0)
    x, w, b, upstream = (rng.standard_normal(s) for s in (shape, (5, 3), (5,), (4, 5)))
    results = []
    for library in (minigrad, torch):
        layer = library.nn.Linear(3, 5).to(library.float64)
        layer.load_state_dict({"weight": library.tensor(w), "bias": library.tensor(b)})
        results.append(action(library, library.tensor(x, requires_grad=True), layer, library.tensor(upstream)))
    for a, b in zip(*results, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_backward_hooks_get_pytorchs_gradients():
    def action(library, x, layer, upstream):
        seen = []
        layer.register_full_backward_hook(lambda m, grad_in, grad_out: seen.extend([*grad_in, *grad_out]))
        layer.register_full_backward_pre_hook(lambda m, grad_out: seen.extend(grad_out))
        layer(x).tanh().backward(upstream)
        assert len(seen) == 3
        return [*seen, x.grad, layer.weight.grad, layer.bias.grad]

    both(action)


def test_backward_hooks_may_replace():
    def action(library, x, layer, upstream):
        layer.register_full_backward_pre_hook(lambda m, grad_out: (grad_out[0] * 2,))
        layer.register_full_backward_pre_hook(lambda m, grad_out: (grad_out[0] + 1,))
        layer.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * grad_out[0].sum(),))
        layer.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] + 3,))
        layer(x * 2).backward(upstream)
        return [x.grad, layer.weight.grad, layer.bias.grad]

    both(action)


def test_several_inputs_and_outputs_keep_their_places():
    def action(library, x, layer, upstream):
        class Pair(library.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = layer

            def forward(self, scale, a, name, b):
                return self.layer(a * scale), name, b.exp() * 2

        pair, seen = Pair(), []
        pair.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append((grad_in, grad_out)))
        constant = library.ones(4, 3, dtype=library.float64)
        y, name, z = pair(2.0, x * 1, "label", x * 3)
        assert name == "label"
        ((y.sin() * upstream).sum(1, keepdim=True) * z).backward(constant * x.detach())
        ((grad_in, grad_out),) = seen
        assert [g is None for g in grad_in] == [True, False, True, False]
        assert [g is None for g in grad_out] == [False, True, False]
        return [*grad_in, *grad_out, x.grad]

    both(action)


def test_an_output_that_nothing_depends_on():
    class Pair(nn.Module):
        def forward(self, a, b):
            return a * 2, b * 3

    pair, seen = Pair(), []
    pair.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append((grad_in, grad_out)))
    a, b = minigrad.randn(3, requires_grad=True), minigrad.randn(3, requires_grad=True)
    upstream = minigrad.randn(3)
    pair(a, b)[0].backward(upstream)
    ((grad_in, grad_out),) = seen
    assert grad_out[1] is None
    assert grad_in[1] is None
    assert b.grad is None
    assert minigrad.equal(grad_in[0], upstream * 2)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # PyTorch's own
def test_the_first_layer_has_no_grad_input():
    def action(library, x, layer, upstream):
        seen = []
        layer.register_full_backward_hook(lambda m, grad_in, grad_out: seen.extend([*grad_in, *grad_out]))
        layer(x.detach()).backward(upstream)
        assert seen[0] is None
        return [*seen, layer.weight.grad]

    both(action)


def test_global_backward_hooks():
    seen = []
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    with (
        hooks.register_module_full_backward_hook(lambda m, i, o: seen.append(type(m).__name__)),
        hooks.register_module_full_backward_pre_hook(lambda m, o: seen.append(f"pre {type(m).__name__}")),
    ):
        model(minigrad.randn(2, 3, requires_grad=True)).backward(minigrad.randn(2, 4))
    assert seen == ["pre Sequential", "pre ReLU", "ReLU", "pre Linear", "Linear", "Sequential"]


def test_wrong_answers_are_explained():
    x = minigrad.randn(4, 3, requires_grad=True)
    layer = nn.Linear(3, 5)
    with layer.register_full_backward_hook(lambda m, i, o: (i[0], i[0])):
        y = layer(x)
        with pytest.raises(RuntimeError, match="must return None or 1 gradients, it returned 2"):
            y.backward(minigrad.randn(4, 5))
    with layer.register_full_backward_hook(lambda m, i, o: (o[0],)):
        y = layer(x.detach())
        with pytest.raises(RuntimeError, match="no input of the module requires one; return None"):
            y.backward(minigrad.randn(4, 5))


def test_second_derivatives_pass_the_gates():
    def action(library, x, layer, upstream):
        layer.register_full_backward_hook(lambda m, grad_in, grad_out: (grad_in[0] * grad_out[0].sum(),))
        y = layer(x).tanh()
        (first,) = library.autograd.grad(y, x, upstream, create_graph=True)
        (second,) = library.autograd.grad(first, x, library.tensor(np.linspace(-1, 1, 12).reshape(4, 3)))
        return [first, second]

    both(action)


def test_a_change_in_place_after_a_hooked_module():
    """ReLU in place after a module with backward hooks: PyTorch refuses, here the hook gets its gradients."""
    layer, seen = nn.Linear(3, 5), []
    x = minigrad.randn(4, 3, requires_grad=True)
    layer.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append(grad_out[0]))
    upstream = minigrad.randn(4, 5)
    nn.ReLU(inplace=True)(layer(x)).backward(upstream)
    expected = upstream * (layer(x) > 0)
    np.testing.assert_allclose(seen[0].numpy(), expected.numpy(), rtol=1e-6)

    squash = nn.Sigmoid()  # its rule needs its own output: overwriting that must be refused
    squash.register_full_backward_hook(lambda m, grad_in, grad_out: None)
    y = nn.ReLU(inplace=True)(squash(x * 1))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.randn(4, 3))


def test_evaluation_without_a_graph_needs_no_gates():
    layer = nn.Linear(3, 5)
    layer.register_full_backward_hook(lambda m, i, o: None)
    with minigrad.no_grad():
        assert not layer(minigrad.randn(4, 3)).requires_grad


# --- changes in place, with hooks on --------------------------------------------------------------------------------

HOOKS = {
    "forward": lambda m: m.register_forward_hook(lambda m, args, out: None),
    "forward pre": lambda m: m.register_forward_pre_hook(lambda m, args: None),
    "backward pre": lambda m: m.register_full_backward_pre_hook(lambda m, grads: None),
    "backward": lambda m: m.register_full_backward_hook(lambda m, grads, out: None),
    "both": lambda m: [
        m.register_full_backward_hook(lambda m, g, o: None),
        HOOKS["backward pre"](m),
        HOOKS["forward"](m),
    ],
}


class Halves(nn.Module):
    def forward(self, x):
        return x[:1], x[1:]


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Identity(), nn.Flatten(0))
        for m in (self.inner, self.inner[1]):
            m.register_full_backward_hook(lambda m, grads, out: None)

    def forward(self, x):
        return self.inner(x)


def output_changed(m, y):
    m(y).mul_(2)
    return y * y


def output_changed_by_the_graph(m, y):
    z = m(y)
    z *= y.detach() + 3
    z += y
    return z * y


def part_of_the_output_changed(m, y):
    z = m(y)
    z.view(-1)[0] = 5.0
    return y * z.view(-1)


def input_changed_afterwards(m, y):
    z = m(y)
    y.mul_(2)
    return z * z + y


def halves(m, y):
    a, b = m(y)
    a.mul_(2)
    b.exp_()
    return y * y


def one_of_several_outputs(m, y):
    a, b = m(y)
    y.mul_(3)
    return minigrad.cat([a * b, b])


AFTER = [
    (nn.Identity, output_changed),
    (lambda: nn.Flatten(0), output_changed),
    (nn.Identity, output_changed_by_the_graph),
    (lambda: nn.Unflatten(0, (2, 1)), part_of_the_output_changed),
    (nn.Dropout, part_of_the_output_changed),
    (nn.Identity, input_changed_afterwards),
    (Nested, output_changed),
    (Nested, input_changed_afterwards),
    (Halves, halves),
    (Halves, one_of_several_outputs),
]


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize(("make", "program"), AFTER)
def test_hooks_do_not_change_what_a_change_in_place_means(kind, make, program):
    # PyTorch refuses those of what a full backward hook has seen
    found = []
    for hook in (lambda m: None, HOOKS[kind]):
        x = minigrad.tensor([1.0, 2.0], dtype=minigrad.float64, requires_grad=True)
        m = make().eval()
        hook(m)
        out = program(m, x * 1.0)
        out.backward(minigrad.tensor([0.3, -1.1], dtype=minigrad.float64).expand(out.shape))
        found.append((out.tolist(), x.grad.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", HOOKS)
@pytest.mark.parametrize(("make", "program"), AFTER)
def test_a_leaf_is_not_changed_through_a_hooked_module(kind, make, program):
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    m = make().eval()
    HOOKS[kind](m)
    with pytest.raises(RuntimeError, match="leaf that requires a gradient"):
        program(m, x)
    assert x.tolist() == [1.0, 2.0]


def test_a_hook_sees_the_gradient_of_what_the_module_gave():
    seen = []
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    m = nn.Identity()
    m.register_full_backward_hook(lambda m, grads, out: seen.append((grads[0].tolist(), out[0].tolist())))
    z = m(x * 1.0)
    z.mul_(2)
    (z * minigrad.tensor([1.0, 10.0])).backward(minigrad.tensor([1.0, 2.0]))
    assert seen == [([2.0, 40.0], [2.0, 40.0])]
    assert x.grad.tolist() == [2.0, 40.0]


class Adds(nn.Module):
    """Changes a view of its input."""

    def forward(self, x, k=1.0):
        x.view(-1)[0] += k
        return x * 2


@pytest.mark.parametrize("make", [lambda: nn.ReLU(inplace=True), lambda: nn.Hardtanh(-0.5, 0.5, inplace=True), Adds])
@pytest.mark.parametrize("is_leaf", [True, False])
@pytest.mark.parametrize("kind", ["backward", "both"])
def test_forward_may_not_change_an_input_that_a_backward_hook_sees(make, is_leaf, kind):
    x = minigrad.tensor([1.0, -1.0, 2.0], requires_grad=True)
    y = x if is_leaf else x * 1.0
    m = make()
    HOOKS[kind](m)
    with pytest.raises(RuntimeError, match=rf"{type(m).__name__} has a full backward hook"):
        m(y)
    assert y.tolist() == [1.0, -1.0, 2.0]
    if not is_leaf:
        y.mul_(2)  # the refusal ends with the call,
    with minigrad.no_grad():
        m(y)  # and needs a graph
    with pytest.raises(RuntimeError, match="has a full backward hook"):
        m(minigrad.tensor([1.0, -1.0], requires_grad=True) * 1.0)


def test_pytorch_refuses_it_too():
    x = torch.tensor([1.0, -1.0, 2.0], requires_grad=True)
    m = torch.nn.ReLU(inplace=True)
    m.register_full_backward_hook(lambda m, grads, out: None)
    with pytest.raises(RuntimeError):
        m(x * 1.0)


@pytest.mark.parametrize("kind", ["forward", "forward pre", "backward pre"])
def test_other_hooks_allow_it(kind):
    x = minigrad.tensor([1.0, -1.0, 2.0], requires_grad=True)
    y = x * 1.0
    m = nn.ReLU(inplace=True)
    HOOKS[kind](m)
    z = m(y)
    (y * z + y).backward(minigrad.tensor([1.0, 2.0, 3.0]))
    assert x.grad.tolist() == [3.0, 0.0, 15.0]
    assert y.tolist() == z.tolist() == [1.0, 0.0, 2.0]
