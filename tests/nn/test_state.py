"""Saving and loading a module's state: all or nothing, and errors that list everything at once."""

import numpy as np
import pytest

import minigrad
from minigrad import nn


def net():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model.register_buffer("steps", minigrad.tensor(0))
    model.register_buffer("scratch", minigrad.zeros(1), persistent=False)
    return model


def arrays(model):
    return {name: t.detach().numpy().copy() for name, t in model.state_dict().items()}


def test_the_state_shares_memory_and_carries_no_gradient():
    model = net()
    state = model.state_dict()
    assert list(state) == ["steps", "0.weight", "0.bias", "2.weight", "2.bias"]
    assert not any(t.requires_grad for t in state.values())
    assert state["0.weight"]._array is model[0].weight._array
    assert model.state_dict(keep_vars=True)["0.weight"] is model[0].weight
    assert list(model[0].state_dict(prefix="net.0.")) == ["net.0.weight", "net.0.bias"]
    into = {"other": 1}
    assert model[0].state_dict(destination=into) is into
    assert list(into) == ["other", "weight", "bias"]


def test_loading_copies_values_into_the_same_parameters():
    source, target = net(), net()
    weight, array = target[0].weight, target[0].weight._array
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert target[0].weight is weight
    assert weight._array is array
    assert weight.requires_grad
    assert minigrad.equal(weight, source[0].weight)
    with minigrad.no_grad():
        source[0].weight.zero_()
    assert not (weight == 0).all()


def test_loading_keeps_the_modules_dtype():
    target = net()
    target.load_state_dict(net().double().state_dict())
    assert target[0].weight.dtype == minigrad.float32


def test_numpy_arrays_and_pytorch_tensors_are_taken():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    ours = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    x = np.random.default_rng(0).standard_normal((5, 3))
    for state in (theirs.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()}):
        ours.apply(lambda m: m.reset_parameters() if isinstance(m, nn.Linear) else None)
        ours.load_state_dict(state)
        np.testing.assert_allclose(
            ours(minigrad.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-9, atol=1e-12
        )


def test_everything_wrong_is_listed_at_once_and_nothing_is_loaded():
    model = net()
    before = arrays(model)
    state = {name: np.ones_like(a) for name, a in before.items()}
    state["0.wieght"] = state.pop("0.weight")
    state["2.weight"] = np.ones((2, 5), np.float32)
    state["2.bias"] = "a text"
    state["fc.weight"] = np.ones(3)
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    assert "Error(s) in loading state_dict for Sequential (nothing was loaded)" in text
    assert "size mismatch for 2.weight: (2, 5) in the state, (2, 4) in the module" in text
    assert "2.bias is a str; expected a tensor or an array" in text
    assert 'Missing key(s) in state_dict: "0.weight" (4, 3)' in text
    assert '"0.wieght" (4, 3) (did you mean "0.weight"?)' in text
    assert '"fc.weight" (3,)' in text
    for name, a in arrays(model).items():
        np.testing.assert_array_equal(a, before[name])


def test_not_strict_reports_names_and_still_refuses_shapes():
    model = net()
    result = model.load_state_dict({"0.bias": np.ones(4), "extra": np.ones(1)}, strict=False)
    assert result.missing_keys == ["steps", "0.weight", "2.weight", "2.bias"]
    assert result.unexpected_keys == ["extra"]
    assert "extra" in repr(result)
    assert (model[0].bias == 1).all()
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.bias"):
        model.load_state_dict({"0.bias": np.zeros(5), "2.bias": np.zeros(2)}, strict=False)
    assert (model[0].bias == 1).all()
    assert not (model[2].bias == 0).all()
    with pytest.raises(TypeError, match="expected a mapping of names to tensors, got list"):
        model.load_state_dict([1, 2])


def test_assign_takes_the_tensors_themselves():
    source, target = net().double(), net()
    target[0].weight.requires_grad_(False)
    target.load_state_dict(source.state_dict(), assign=True)
    assert isinstance(target[0].weight, nn.Parameter)
    assert target[0].weight.dtype == minigrad.float64
    assert target[0].weight._array is source[0].weight._array
    assert not target[0].weight.requires_grad
    assert target[2].weight.requires_grad


def test_loading_between_forward_and_backward_is_noticed():
    model = net()
    y = model(minigrad.randn(5, 3))
    model.load_state_dict(net().state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.randn(5, 2))


def test_a_file_in_between(tmp_path):
    model, other = net(), net()
    minigrad.save(model.state_dict(), tmp_path / "model.safetensors")
    other.load_state_dict(minigrad.load(tmp_path / "model.safetensors"))
    x = minigrad.randn(5, 3)
    assert minigrad.allclose(model(x), other(x), atol=1e-6)
