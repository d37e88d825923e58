"""Module: what it finds, what it refuses, and what changes all at once."""

import copy
import pickle

import numpy as np
import pytest

import minigrad
from minigrad import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.scale = nn.Parameter(minigrad.ones(8))
        self.blocks = nn.Sequential(nn.ReLU(), nn.Linear(8, 8), nn.Dropout(0.5))
        self.register_buffer("mean", minigrad.zeros(8))
        self.register_buffer("cache", minigrad.zeros(2), persistent=False)
        self.register_buffer("count", minigrad.tensor(0))
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.blocks(self.first(x) * self.scale) - self.mean)


def test_parameters_buffers_and_modules_are_found_in_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "blocks.1.weight",
        "blocks.1.bias",
        "last.weight",
        "last.bias",
    ]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(iter(dict(net.named_parameters(prefix="net")))) == "net.scale"
    assert [name for name, _ in net.named_buffers()] == ["mean", "cache", "count"]
    assert [name for name, _ in net.named_children()] == ["first", "blocks", "last"]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "first",
        "blocks",
        "blocks.0",
        "blocks.1",
        "blocks.2",
        "last",
    ]
    assert list(net.children()) == [net.first, net.blocks, net.last]
    assert next(net.modules()) is net
    assert all(isinstance(p, nn.Parameter) for p in net.parameters())
    assert next(net.buffers()) is net.mean


def test_same_names_in_the_same_order_as_pytorch():
    torch = pytest.importorskip("torch")

    def build(library):
        class Model(library.nn.Module):
            def __init__(self):
                super().__init__()
                self.tail = library.nn.Linear(2, 2, bias=False)
                self.register_buffer("b", library.zeros(1))
                self.w = library.nn.Parameter(library.ones(2))
                self.parts = library.nn.ModuleDict({"x": library.nn.Embedding(3, 2), "y": library.nn.ReLU()})
                self.more = library.nn.ParameterList([library.nn.Parameter(library.ones(1))])

        return Model()

    ours, theirs = build(minigrad), build(torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for method in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, method)()] == [n for n, _ in getattr(theirs, method)()]


def test_what_is_shared_is_listed_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.out = nn.Linear(3, 5, bias=False)
            self.out.weight = self.embed.weight
            self.again = self.embed

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["embed.weight"]
    assert [n for n, _ in tied.named_parameters(remove_duplicate=False)] == [
        "embed.weight",
        "out.weight",
        "again.weight",
    ]
    assert [name for name, _ in tied.named_modules()] == ["", "embed", "out"]
    assert [name for name, _ in tied.named_children()] == ["embed", "out"]
    assert list(tied.state_dict()) == ["embed.weight", "out.weight", "again.weight"]


def test_getting_by_dotted_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("blocks.1") is net.blocks[1]
    assert net.get_parameter("blocks.1.weight") is net.blocks[1].weight
    assert net.get_parameter("scale") is net.scale
    assert net.get_buffer("mean") is net.mean
    with pytest.raises(AttributeError, match=r"blocks has no module '7'; it has 0, 1, 2"):
        net.get_submodule("blocks.7.x")
    with pytest.raises(AttributeError, match="Net has no module 'body'; it has first, blocks, last"):
        net.get_submodule("body")
    with pytest.raises(AttributeError, match="first has no parameter 'w'; it has weight, bias"):
        net.get_parameter("first.w")
    with pytest.raises(AttributeError, match="Net has no buffer 'var'; it has mean, cache, count"):
        net.get_buffer("var")


def test_forgetting_super_init_is_explained():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"before Module.__init__ has run; make `super\(\).__init__\(\)`"):
        Forgetful()

    class Late(nn.Module):
        def __init__(self):
            self.size = 3  # plain values may come first
            super().__init__()
            self.layer = nn.Linear(self.size, 2)

    assert len(list(Late().parameters())) == 2


def test_a_parameter_is_not_replaced_by_something_else():
    net = Net()
    weight = net.first.weight
    with pytest.raises(TypeError, match="cannot assign Tensor as parameter 'weight'"):
        net.first.weight = weight * 2
    with pytest.raises(TypeError, match="cannot assign int as child module 'last'"):
        net.last = 3
    with pytest.raises(TypeError, match="cannot assign list as buffer 'mean'"):
        net.mean = [1.0]
    assert net.first.weight is weight
    net.first.bias = None
    assert [name for name, _ in net.first.named_parameters()] == ["weight"]
    net.first.bias = nn.Parameter(minigrad.ones(8))
    assert "first.bias" in net.state_dict()
    net.mean = minigrad.ones(8)
    assert dict(net.named_buffers())["mean"] is net.mean
    net.mean = nn.Parameter(minigrad.ones(8))
    assert "mean" not in dict(net.named_buffers())
    assert "mean" in dict(net.named_parameters())
    del net.count
    assert "count" not in net.state_dict()
    with pytest.raises(TypeError):
        net._modules["other"] = nn.ReLU()


def test_registering_checks_names_and_kinds():
    net = nn.Module()
    net.register_parameter("bias", None)
    net.register_buffer("later", None)
    net.register_module("act", nn.ReLU())
    assert net.bias is None
    assert net.later is None
    assert list(net.state_dict()) == []
    net.later = minigrad.ones(2)
    assert list(net.state_dict()) == ["later"]
    for register in (net.register_parameter, net.register_buffer, net.add_module):
        with pytest.raises(KeyError, match=r"without '\.'"):
            register("a.b", None)
        with pytest.raises(KeyError, match="non-empty"):
            register("", None)
        with pytest.raises(KeyError, match="'act' already exists"):
            register("act", None)
        with pytest.raises(TypeError, match="must be a string, got int"):
            register(3, None)
    with pytest.raises(TypeError, match="cannot register Tensor as parameter 'w'"):
        net.register_parameter("w", minigrad.ones(2))
    with pytest.raises(TypeError, match="cannot register ndarray as buffer 'b'"):
        net.register_buffer("b", np.ones(2))
    with pytest.raises(TypeError, match="pass an instance, not the class"):
        net.add_module("m", nn.ReLU)


def test_train_and_eval_reach_everything():
    net = Net()
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())
    net.blocks.train(False)
    assert net.training
    assert not net.blocks[2].training
    with pytest.raises(ValueError, match="True or False, got 1"):
        net.train(1)


def test_requires_grad_and_zero_grad():
    net = Net()
    net.eval()(minigrad.randn(5, 4)).backward(minigrad.randn(5, 3))
    assert all(p.grad is not None for p in net.parameters())
    held = net.scale.grad
    net.zero_grad(set_to_none=False)
    assert held is net.scale.grad
    assert (held == 0).all()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.first.requires_grad_(False)
    net(minigrad.randn(5, 4)).backward(minigrad.randn(5, 3))
    assert net.first.weight.grad is None
    assert net.last.weight.grad is not None


def test_apply_goes_from_the_leaves_up():
    seen = []
    net = Net()
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "ReLU", "Linear", "Dropout", "Sequential", "Linear", "Net"]


def test_dtypes_change_in_place():
    net = Net()
    weight = net.first.weight
    net(minigrad.randn(5, 4)).backward(minigrad.randn(5, 3))
    before = weight.detach().numpy().copy()
    assert net.double() is net
    assert net.first.weight is weight
    assert all(p.dtype == minigrad.float64 and p.grad.dtype == minigrad.float64 for p in net.parameters())
    assert net.mean.dtype == minigrad.float64
    assert net.count.dtype == minigrad.int64
    np.testing.assert_array_equal(weight.detach().numpy(), before)
    assert net(minigrad.randn(5, 4, dtype=minigrad.float64)).dtype == minigrad.float64
    assert net.half().scale.dtype == minigrad.float16
    assert net.float().scale.dtype == minigrad.float32
    assert net.to("cpu", minigrad.float64).scale.dtype == minigrad.float64
    assert net.to(dtype=minigrad.float32, non_blocking=True).scale.dtype == minigrad.float32
    assert net.to(minigrad.ones(1, dtype=minigrad.float64)).mean.dtype == minigrad.float64
    assert net.cpu() is net
    assert net.type(minigrad.float32).count.dtype == minigrad.float32
    with pytest.raises(TypeError, match=r"floating dtypes only, got minigrad\.int64"):
        net.to(minigrad.int64)
    with pytest.raises(TypeError, match="unknown argument colour"):
        net.to(colour="red")


def test_a_missing_gpu_changes_nothing():
    if minigrad.cuda.is_available():
        pytest.skip("there is a GPU")
    net = Net()
    array = net.scale._array
    with pytest.raises(RuntimeError):
        net.cuda()
    with pytest.raises(RuntimeError):
        net.to("cuda:0")
    assert net.scale._array is array


def test_an_optimizer_goes_on_after_conversion():
    net = Net()
    optimizer = minigrad.optim.SGD(net.parameters(), lr=0.1)
    net.double()
    before = net.scale.detach().clone()
    net(minigrad.randn(5, 4, dtype=minigrad.float64)).backward(minigrad.randn(5, 3, dtype=minigrad.float64))
    optimizer.step()
    assert not minigrad.equal(net.scale.detach(), before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_apart(duplicate):
    net = Net().eval()
    net.first.weight.requires_grad_(False)
    twin = duplicate(net)
    x = minigrad.randn(5, 4)
    assert minigrad.allclose(net(x), twin(x), atol=1e-6)
    assert isinstance(twin.scale, nn.Parameter)
    assert not twin.first.weight.requires_grad
    assert not twin.training
    assert list(twin.state_dict()) == list(net.state_dict())
    with minigrad.no_grad():
        twin.scale.zero_()
    assert (net.scale == 1).all()


def test_copies_keep_what_is_tied_tied():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    twin = copy.deepcopy(net)
    assert twin[0].weight is twin[1].weight


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module: forward is missing"):
        nn.Module()(1)


def test_keywords_reach_forward():
    class Sum(nn.Module):
        def forward(self, a, b=0, *, c=0):
            return a + 10 * b + 100 * c

    assert Sum()(1, 2, c=3) == 321
    assert Sum()(a=1) == 1


def test_dir_lists_the_parts():
    net = Net()
    assert {"first", "blocks", "scale", "mean", "forward"} <= set(dir(net))
    assert "0" not in dir(net.blocks)


def test_repr_is_pytorchs_with_sizes():
    net = Net()
    net.last.requires_grad_(False)
    assert repr(net) == (
        "Net(  # 147 parameters, 120 trainable\n"
        "  (first): Linear(in_features=4, out_features=8, bias=True)  # 40 parameters\n"
        "  (blocks): Sequential(  # 72 parameters\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=8, out_features=8, bias=True)  # 72 parameters\n"
        "    (2): Dropout(p=0.5, inplace=False)\n"
        "  )\n"
        "  (last): Linear(in_features=8, out_features=3, bias=True)  # 27 parameters, 0 trainable\n"
        ")"
    )
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.Linear(784, 10)).endswith("# 7,850 parameters")
    assert repr(nn.PReLU()).endswith("# 1 parameter")


def test_repr_without_sizes_is_pytorchs():
    torch = pytest.importorskip("torch")

    def build(nn):
        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Tanh())
                self.b = nn.ModuleList([nn.Linear(3, 3), nn.Linear(3, 3), nn.ReLU(inplace=True), nn.ReLU()])
                self.c = nn.ModuleDict({"x": nn.Embedding(5, 2, padding_idx=1), "y": nn.Flatten()})
                self.d = nn.Identity()

            def extra_repr(self):
                return "two\nlines"

        return Model()

    lines = [line.split("  # ")[0] for line in repr(build(nn)).split("\n")]
    assert lines == repr(build(torch.nn)).split("\n")
