"""What modules may do with their state: extra state, methods of their own, hooks, versions, ties. Against PyTorch."""

from __future__ import annotations

import copy
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")

BOTH = pytest.mark.parametrize("library", [minigrad, torch], ids=["minigrad", "PyTorch"])


def counting(library: Any) -> Any:
    """A layer that counts its calls, which is no tensor."""

    class Counting(library.nn.Linear):
        calls = 0

        def get_extra_state(self) -> Any:
            return {"calls": self.calls, "names": ["a", "b"]}

        def set_extra_state(self, state: Any) -> None:
            self.calls = state["calls"]

    return Counting


@BOTH
def test_extra_state_is_saved_and_loaded(library: Any) -> None:
    kind = counting(library)
    source, target = (library.nn.Sequential(kind(2, 3), library.nn.Linear(3, 1)) for _ in range(2))
    source[0].calls = 7
    state = source.state_dict()
    assert list(state) == ["0.weight", "0.bias", "0._extra_state", "1.weight", "1.bias"]
    assert state["0._extra_state"] == {"calls": 7, "names": ["a", "b"]}
    result = target.load_state_dict(state)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert target[0].calls == 7
    del state["0._extra_state"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        target.load_state_dict(state)
    plain = library.nn.Sequential(library.nn.Linear(2, 3), library.nn.Linear(3, 1))
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "0._extra_state"'):
        plain.load_state_dict(source.state_dict())
    result = plain.load_state_dict(source.state_dict(), strict=False)
    assert result.unexpected_keys == ["0._extra_state"]


def test_extra_state_goes_through_files_and_checkpoints(tmp_path: Path) -> None:
    kind = counting(minigrad)
    source, target = kind(2, 3), kind(2, 3)
    source.calls = 7
    minigrad.save(source.state_dict(), tmp_path / "one.safetensors")
    target.load_state_dict(minigrad.load(tmp_path / "one.safetensors"))
    assert target.calls == 7
    assert minigrad.equal(target.weight, source.weight)
    optimizer = minigrad.optim.SGD(source.parameters(), lr=0.1)
    minigrad.save({"model": source.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "both")
    target.calls = 0
    target.load_state_dict(minigrad.load(tmp_path / "both")["model"])
    assert target.calls == 7


def test_extra_state_is_part_of_a_training(tmp_path: Path) -> None:
    from minigrad.training import Trainer  # (here, since it takes a while)
    from minigrad.training.callbacks import EarlyStopping, ModelCheckpoint

    kind = counting(minigrad)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = kind(2, 1)

        def forward(self, x: Any) -> Any:
            self.layer.calls += 1
            return self.layer(x)

    def train(epochs: int, resume: Path | None = None) -> Net:
        minigrad.manual_seed(0)
        net = Net()
        data = minigrad.utils.data.TensorDataset(minigrad.randn(8, 2), minigrad.randn(8, 1))
        optimizer = minigrad.optim.SGD(net.parameters(), lr=0.1)
        callbacks = [EarlyStopping("loss", patience=9), ModelCheckpoint(tmp_path)]
        trainer = Trainer(net, nn.MSELoss(), optimizer, callbacks=callbacks)
        trainer.fit(minigrad.utils.data.DataLoader(data, batch_size=4), epochs=epochs, resume=resume)
        return net

    first = train(1).layer.calls
    assert first >= 2
    assert train(2, resume=tmp_path).layer.calls == first + 2


@BOTH
def test_methods_of_ones_own_are_called(library: Any) -> None:
    class Scaled(library.nn.Linear):
        def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
            super()._save_to_state_dict(destination, prefix, keep_vars)
            destination[prefix + "halved"] = destination.pop(prefix + "weight") / 2

        def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
            if prefix + "halved" in state_dict:
                state_dict[prefix + "weight"] = state_dict.pop(prefix + "halved") * 2
            super()._load_from_state_dict(state_dict, prefix, *rest)
            self.total = float(self.weight.detach().sum())  # loaded by now

    source, target = (library.nn.Sequential(OrderedDict(a=Scaled(2, 3))) for _ in range(2))
    state = source.state_dict()
    assert list(state) == ["a.bias", "a.halved"]
    target.load_state_dict(state)
    assert list(state) == ["a.bias", "a.halved"]  # a copy was changed
    np.testing.assert_array_equal(target.a.weight.detach().numpy(), source.a.weight.detach().numpy())
    assert target.a.total == pytest.approx(float(source.a.weight.detach().sum()))


@BOTH
def test_hooks_are_called_in_order_with_their_arguments(library: Any) -> None:
    net = library.nn.Sequential(OrderedDict(a=library.nn.Linear(2, 1, bias=False), b=library.nn.Tanh()))
    calls: list[Any] = []
    handles = [
        net.a.register_state_dict_pre_hook(lambda m, prefix, keep: calls.append(("save", m is net.a, prefix, keep))),
        net.a._register_state_dict_hook(lambda m, d, prefix, meta: calls.append(("saved", list(d), prefix, meta))),
        net.register_state_dict_post_hook(lambda m, d, prefix, meta: d.update(note=library.zeros(1))),
        net.register_load_state_dict_pre_hook(
            lambda m, d, *rest: calls.append(("load", m is net, d.pop("note").shape))
        ),
        net.a._register_load_state_dict_pre_hook(lambda d, prefix, *rest: calls.append(("load a", list(d), prefix))),
        net.a._register_load_state_dict_pre_hook(lambda m, d, *rest: calls.append(m is net.a), with_module=True),
        net.a.register_load_state_dict_post_hook(lambda m, keys: calls.append(("loaded a", keys.missing_keys))),
        net.register_load_state_dict_post_hook(lambda m, keys: calls.append(("loaded", m is net))),
    ]
    state = net.state_dict()
    assert list(state) == ["a.weight", "note"]
    net.load_state_dict(state)
    assert calls == [
        ("save", True, "a.", False),
        ("saved", ["a.weight"], "a.", {"version": 1}),
        ("load", True, (1,)),
        ("load a", ["a.weight"], "a."),
        True,
        ("loaded a", []),
        ("loaded", True),
    ]
    for handle in handles:
        handle.remove()
    del calls[:]
    net.load_state_dict(net.state_dict())
    assert calls == []


@BOTH
def test_a_hook_may_rename_keys_and_forgive_missing_ones(library: Any) -> None:
    net = library.nn.Sequential(library.nn.Linear(2, 1))

    def rename(module: Any, state: Any, *rest: Any) -> None:
        for key in list(state):
            state[key.removeprefix("module.")] = state.pop(key)

    net.register_load_state_dict_pre_hook(rename)
    assert net.load_state_dict({f"module.{k}": v for k, v in net.state_dict().items()}).unexpected_keys == []
    net.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
    assert net.load_state_dict({"module.0.weight": net[0].weight.detach()}).missing_keys == []


@BOTH
def test_hooks_that_must_return_nothing(library: Any) -> None:
    layer = library.nn.Linear(2, 1)
    handle = layer.register_state_dict_post_hook(lambda *arguments: {})
    with pytest.raises(RuntimeError, match=r"must .*return None"):
        layer.state_dict()
    handle.remove()
    layer._register_state_dict_hook(lambda m, d, prefix, meta: {"other": 1})
    assert layer.state_dict() == {"other": 1}
    layer.register_load_state_dict_post_hook(lambda m, keys: keys)
    with pytest.raises((RuntimeError, AssertionError)):
        layer.load_state_dict({"weight": layer.weight.detach(), "bias": layer.bias.detach()})


def test_hooks_go_with_a_copy() -> None:
    layer = nn.Linear(2, 1)
    seen: list[Any] = []
    layer.register_load_state_dict_pre_hook(lambda module, *rest: seen.append(module))
    layer._register_load_state_dict_pre_hook(lambda *rest: seen.append(len(rest)))
    twin = copy.deepcopy(layer)
    twin.load_state_dict(layer.state_dict())
    assert seen == [twin, 7]


@BOTH
def test_a_state_dict_of_ones_own_is_called_for_children(library: Any) -> None:
    class Quiet(library.nn.Linear):
        def state_dict(self, *args: Any, **kwargs: Any) -> Any:
            return kwargs["destination"]

    assert list(library.nn.Sequential(Quiet(2, 1), library.nn.Linear(1, 1)).state_dict()) == ["1.weight", "1.bias"]


@BOTH
@pytest.mark.parametrize("layer", ["BatchNorm1d", "BatchNorm2d"])
def test_batch_norm_from_before_batches_were_counted(library: Any, layer: str) -> None:
    def net() -> Any:
        return library.nn.Sequential(getattr(library.nn, layer)(3), getattr(library.nn, layer)(3, affine=False))

    source, target = net(), net()
    source[0].running_mean += 2
    state = source.state_dict()
    assert dict(state._metadata) == {"": {"version": 1}, "0": {"version": 2}, "1": {"version": 2}}
    old = {key: value for key, value in state.items() if "num_batches" not in key}
    result = target.load_state_dict(old)  # no metadata, or from a file
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert float(target[0].running_mean.sum()) == 6
    assert int(target[0].num_batches_tracked) == 0
    target.load_state_dict(old, assign=True)
    missing = copy.deepcopy(state)
    del missing["1.num_batches_tracked"]  # of a version that has it
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "1.num_batches_tracked"'):
        target.load_state_dict(missing)
    missing._metadata["1"]["version"] = 1
    target.load_state_dict(missing)


@BOTH
def test_a_number_saved_as_a_vector_of_one(library: Any) -> None:
    layer = library.nn.BatchNorm1d(3)
    state = dict(layer.state_dict(), num_batches_tracked=library.tensor([5]))
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.shape == ()
    assert int(layer.num_batches_tracked) == 5


class Tied(nn.Module):
    """An embedding whose weight is the output layer's too, and a whole layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.output = nn.Linear(4, 5, bias=False)
        self.output.weight = self.embedding.weight
        self.again = self.output
        self.alone = nn.Linear(4, 4)
        self.register_buffer("scale", minigrad.ones(1))
        self.alone.register_buffer("scale", self.scale)


@pytest.mark.parametrize("kept", [None, "embedding.weight", "output.weight", "again.weight"])
@pytest.mark.parametrize("through_a_file", [False, True])
def test_assign_keeps_tied_weights_tied(kept: str | None, through_a_file: bool, tmp_path: Path) -> None:
    source, target = Tied(), Tied()
    state: Any = source.state_dict()
    if kept is not None:  # the weight stands under one of its names only
        state = {
            k: v for k, v in state.items() if k == kept or k in ("alone.weight", "alone.bias", "scale", "alone.scale")
        }
    if through_a_file:  # each name has memory of its own then
        minigrad.save(dict(state), tmp_path / "state.safetensors")
        state = minigrad.load(tmp_path / "state.safetensors")
    target.load_state_dict(state, strict=kept is None, assign=True)
    assert target.embedding.weight is target.output.weight is target.again.weight
    assert target.scale is target.alone.scale
    assert len(list(target.parameters())) == 3
    assert minigrad.equal(target.embedding.weight, source.embedding.weight)
    given = state[kept or "again.weight"]
    assert target.embedding.weight._array is given._array


@BOTH
def test_assign_takes_a_parameter_as_it_is(library: Any) -> None:
    one, two = library.nn.Linear(2, 2, bias=False), library.nn.Linear(2, 2, bias=False)
    two.weight.requires_grad_(False)
    two.load_state_dict(one.state_dict(keep_vars=True), assign=True)
    assert two.weight is one.weight
    assert not one.weight.requires_grad


def test_assign_gives_read_only_and_expanded_arrays_memory_to_train() -> None:
    layer = nn.Linear(2, 3)
    frozen = np.ones((3, 2), np.float32)
    frozen.flags.writeable = False
    layer.load_state_dict({"weight": frozen, "bias": minigrad.ones(1).expand(3)}, assign=True)
    layer(minigrad.randn(4, 2)).backward(minigrad.randn(4, 3))
    minigrad.optim.Adam(layer.parameters(), lr=0.1).step()
    assert (frozen == 1).all()
    assert (layer.weight != 1).all()
    assert (layer.bias != 1).all()


def test_tied_weights_with_different_values_take_the_last_one_both_ways() -> None:
    for assign in (False, True):
        target = Tied()
        state = dict(Tied().state_dict())
        state["embedding.weight"] = minigrad.zeros(5, 4)
        state["output.weight"] = minigrad.zeros(5, 4) + 1
        state["again.weight"] = minigrad.zeros(5, 4) + 2
        target.load_state_dict(state, assign=assign)
        assert (target.embedding.weight == 2).all()
        assert target.embedding.weight is target.output.weight


def _raise(*arguments: Any) -> None:
    raise KeyError("a hook's own error")


def _failing_extra() -> Any:
    kind = counting(minigrad)

    class Failing(kind):  # type: ignore[valid-type, misc]
        def set_extra_state(self, state: Any) -> None:
            if state["calls"] == 99:
                raise KeyError("99")
            super().set_extra_state(state)

    return Failing(3, 1)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("where", ["pre", "post", "extra", "own method", "missing", "after the writing"])
def test_a_load_that_fails_anywhere_changes_nothing(where: str, assign: bool) -> None:
    class Writing(nn.Linear):
        def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
            with minigrad.no_grad():
                self.bias.fill_(5)
            if where == "own method":
                raise KeyError("its own error")
            super()._load_from_state_dict(state, prefix, *rest)

    net = nn.Sequential(nn.BatchNorm1d(2), counting(minigrad)(2, 3), Writing(3, 3), _failing_extra())
    other = nn.Sequential(nn.BatchNorm1d(2), counting(minigrad)(2, 3), nn.Linear(3, 3), _failing_extra())
    other[1].calls = 7
    state = other.state_dict()
    if where == "pre":
        net[3].register_load_state_dict_pre_hook(_raise)
    elif where == "post":
        net.register_load_state_dict_post_hook(_raise)
    elif where == "extra":
        state["3._extra_state"] = {"calls": 99}
    elif where == "missing":
        del state["3.bias"]
    elif where == "after the writing":
        net[3].register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.append("a key"))
    tensors = {**dict(net.named_parameters()), **dict(net.named_buffers())}
    before = {name: (id(t), t.detach().numpy().copy(), t._version_number) for name, t in tensors.items()}
    y = net(minigrad.randn(4, 2))
    stats = {name: b.clone() for name, b in net.named_buffers()}
    with pytest.raises((KeyError, RuntimeError)):
        net.load_state_dict(state, assign=assign)
    for name, t in {**dict(net.named_parameters()), **dict(net.named_buffers())}.items():
        identity, values, version = before[name]
        assert id(t) == identity
        if name in stats:
            assert minigrad.equal(t, stats[name])
        else:
            np.testing.assert_array_equal(t.detach().numpy(), values)
            assert t._version_number == version
    assert net[1].calls == 0
    y.backward(minigrad.randn(4, 1))  # nothing changed, so the graph is still good


@BOTH
def test_names_are_reported_alike(library: Any) -> None:
    net = library.nn.Sequential(OrderedDict(a=library.nn.Linear(2, 1), b=library.nn.Sequential(library.nn.PReLU())))
    state = {
        "a.weight": library.zeros(1, 2),
        "a.other": 1,
        "a.weight.x": 1,
        "c": 2,
        "b.0.weight": library.zeros(1),
        "": 3,
    }
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["a.bias"]
    assert sorted(result.unexpected_keys) == ["", "a.other", "a.weight.x", "c"]
