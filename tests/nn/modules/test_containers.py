"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict: lists and dicts that modules can see "
"into."""

import copy
import pickle
from collections import OrderedDict

import pytest

import minigrad
from minigrad import nn


class Add(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x * 10 + self.n


def numbers(modules):
    return [m.n for m in modules]


def test_sequential_runs_in_order():
    net = nn.Sequential(Add(1), Add(2), Add(3))
    assert net(0) == 123
    assert nn.Sequential()(7) == 7
    named = nn.Sequential(OrderedDict([("a", Add(1)), ("b", Add(2))]))
    assert named(0) == 12
    assert named.b.n == 2
    assert [name for name, _ in named.named_children()] == ["a", "b"]


def test_sequential_is_indexed_and_sliced():
    net = nn.Sequential(Add(1), Add(2), Add(3), Add(4))
    assert net[-1].n == 4
    assert net[minigrad.tensor(1)].n == 2
    part = net[1:3]
    assert isinstance(part, nn.Sequential)
    assert numbers(part) == [2, 3]
    assert part[0] is net[1]
    assert part(0) == 23
    assert list(net[1:3]._modules) == ["1", "2"]  # a slice keeps the names
    assert numbers(net[::-1]) == [4, 3, 2, 1]
    assert len(net) == 4
    assert net[2] in net
    assert Add(3) not in net
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 4 items"):
            net[index]
    with pytest.raises(TypeError, match="integers or slices, got str"):
        net["a"]


def test_changes_are_seen_by_the_next_call():
    net = nn.Sequential(Add(1), Add(2))
    assert net(0) == 12
    net.append(Add(3))
    assert net(0) == 123
    net[0] = Add(9)
    assert net(0) == 923
    setattr(net, "1", Add(8))
    assert net(0) == 983
    net.insert(1, Add(5))
    assert net(0) == 9583
    del net[0]
    assert net(0) == 583
    assert [name for name, _ in net.named_children()] == ["0", "1", "2"]
    assert net.pop().n == 3
    assert net(0) == 58
    net.extend([Add(1), Add(2)])
    assert net(0) == 5812
    net += nn.Sequential(Add(4))
    assert net(0) == 58124
    assert (net[:1] + net[-1:])(0) == 54
    del net[1:]
    assert net(0) == 5
    emptied = nn.Sequential(Add(1), Add(2))
    assert emptied(7) == 712
    delattr(emptied, "1")
    assert emptied(7) == 71
    del emptied[0]
    assert emptied(7) == 7
    twin = copy.deepcopy(net)
    twin.append(Add(6))
    assert (net(0), twin(0)) == (5, 56)
    assert pickle.loads(pickle.dumps(twin))(0) == 56


def test_module_list():
    net = nn.ModuleList([Add(1), Add(2)])
    net.append(Add(3)).extend([Add(4)])
    net.insert(0, Add(0))
    assert numbers(net) == [0, 1, 2, 3, 4]
    assert isinstance(net[:2], nn.ModuleList)
    assert numbers(net[1:3]) == [1, 2]
    assert numbers(net + nn.ModuleList([Add(7)])) == [0, 1, 2, 3, 4, 7]
    del net[1:3]
    assert numbers(net) == [0, 3, 4]
    assert numbers(reversed(net)) == [4, 3, 0]
    assert [name for name, _ in net.named_children()] == ["0", "1", "2"]
    assert len(nn.ModuleList()) == 0
    with pytest.raises(NotImplementedError, match="only holds modules"):
        net(1)
    assert list(nn.ModuleList([nn.Linear(1, 2), nn.Linear(2, 1)]).state_dict()) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
    ]


def test_repeated_blocks_share_a_line():
    text = repr(nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)]))
    assert text == (
        "ModuleList(  # 18 parameters\n"
        "  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)  # 6 parameters\n"
        "  (2): ReLU()\n"
        "  (3): Linear(in_features=2, out_features=2, bias=True)  # 6 parameters\n"
        ")"
    )
    assert repr(nn.ModuleList()) == "ModuleList()"


def test_what_is_no_module_is_refused_and_nothing_is_added():
    net = nn.ModuleList([Add(1)])
    with pytest.raises(TypeError, match="ModuleList: a list is not a Module"):
        net.append([Add(2)])
    with pytest.raises(TypeError, match="the class ReLU is not a Module; make an instance"):
        net.extend([Add(2), nn.ReLU])
    with pytest.raises(TypeError, match="expected an iterable, got int"):
        net.extend(3)
    with pytest.raises(TypeError, match="Sequential: a function is not a Module"):
        nn.Sequential(Add(1), numbers)
    with pytest.raises(TypeError, match="a int is not a Module"):
        net[0] = 3
    with pytest.raises(TypeError, match="can only be added to a Sequential"):
        nn.Sequential() + net
    assert numbers(net) == [1]


def test_module_dict():
    net = nn.ModuleDict({"a": Add(1), "b": Add(2)})
    net["c"] = Add(3)
    net["a"] = Add(9)
    assert list(net) == list(net.keys()) == ["a", "b", "c"]
    assert numbers(net.values()) == [9, 2, 3]
    assert [(name, m.n) for name, m in net.items()] == [("a", 9), ("b", 2), ("c", 3)]
    assert "b" in net
    assert len(net) == 3
    assert net.pop("b").n == 2
    net.update([("d", Add(4))])
    net.update(nn.ModuleDict({"e": Add(5)}))
    assert list(net) == ["a", "c", "d", "e"]
    del net["c"]
    with pytest.raises(KeyError, match="no item 'x'; it has a, d, e"):
        net["x"]
    with pytest.raises(KeyError, match="no item 'x'"):
        del net["x"]
    with pytest.raises(KeyError, match="'type' already exists"):
        net["type"] = Add(1)
    with pytest.raises(KeyError, match=r"without '\.'"):
        net["a.b"] = Add(1)
    with pytest.raises(TypeError, match="a int under 'n' is not a Module"):
        net["n"] = 3
    net.clear()
    assert len(net) == 0


def test_parameter_list():
    params = nn.ParameterList([minigrad.ones(2), nn.Parameter(minigrad.zeros(3))])
    params.append(minigrad.ones(4))
    assert [tuple(p.shape) for p in params] == [(2,), (3,), (4,)]
    assert all(isinstance(p, nn.Parameter) for p in params)
    assert list(params.state_dict()) == ["0", "1", "2"]
    assert len(list(params.parameters())) == 3
    assert isinstance(params[1:], nn.ParameterList)
    params[0] = minigrad.ones(5)
    assert params[0].shape == (5,)
    assert "(1): Parameter containing: [minigrad.float32 of size 3]" in repr(params)
    with pytest.raises(TypeError, match="a list is neither a Parameter nor a Tensor"):
        params.append([1.0])


def test_parameter_dict():
    params = nn.ParameterDict({"w": minigrad.ones(2, 3)})
    params["b"] = nn.Parameter(minigrad.ones(3), requires_grad=False)
    params["w"] = minigrad.zeros(2, 3)
    assert list(params.keys()) == ["w", "b"]
    assert isinstance(params["w"], nn.Parameter)
    assert (params["w"] == 0).all()
    assert list(params.state_dict()) == ["w", "b"]
    assert "(w): Parameter containing: [minigrad.float32 of size 2x3]" in repr(params)
    assert "# 9 parameters, 6 trainable" in repr(params)
    with pytest.raises(TypeError, match="a int is neither"):
        params["c"] = 1
