"""A call that fails leaves all as it was: parameters, gradients, optimizers, files, modes, random streams."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.errors import DtypeError, GraphError, ShapeError
from minigrad.optim import lr_scheduler

ones = mg.ones


def leaf(*shape: int) -> mg.Tensor:
    """A tensor that requires a gradient."""
    return mg.rand(*shape, requires_grad=True)


def sgd(*parameters: Any, **settings: Any) -> optim.SGD:
    return optim.SGD(list(parameters) or [leaf(2)], **{"lr": 0.1, **settings})


@pytest.mark.parametrize(
    "state",
    [
        {"weight": ones(3, 2)},
        {"weight": ones(3, 2), "bias": ones(4)},
        {"weight": ones(3, 2), "bias": "a word"},
        {"weight": ones(3, 2), "bias": ones(3), "more": ones(1)},
    ],
    ids=["missing", "shape", "kind", "unexpected"],
)
@pytest.mark.parametrize("assign", [False, True])
def test_a_failed_load_state_dict_changes_nothing(state: dict[str, Any], assign: bool) -> None:
    layer = nn.Linear(2, 3)
    before = {name: p.detach().clone() for name, p in layer.named_parameters()}
    identities = [id(p) for p in layer.parameters()]
    with pytest.raises(RuntimeError, match="nothing was loaded"):
        layer.load_state_dict(state, assign=assign)
    assert [id(p) for p in layer.parameters()] == identities
    assert all(mg.equal(p, before[name]) for name, p in layer.named_parameters())


def raise_in_hook(g: Any) -> None:
    raise RuntimeError("a hook's own error")


class FailingBackward(mg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 1

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        raise RuntimeError("a rule's own error")


def _fails_on_shape(x: Any, y: Any) -> None:
    (x * y).backward(ones(2))


def _fails_on_freed_graph(x: Any, y: Any) -> None:
    shared = x * y
    mg.autograd.grad(shared, x, ones(3))  # frees what x * y had saved
    (shared + x * 3 + y).backward(ones(3))


def _fails_on_change_in_place(x: Any, y: Any) -> None:
    e = x.exp()
    z = e * 2 + y
    e.zero_()
    z.backward(ones(3))


def _fails_in_a_rule(x: Any, y: Any) -> None:
    (y * 2 + FailingBackward.apply(x * 1)).backward(ones(3))


def _fails_in_a_hook(x: Any, y: Any) -> None:
    middle = x * 2
    middle.register_hook(raise_in_hook)
    (middle + y).backward(ones(3))


def _fails_in_a_leafs_hook(x: Any, y: Any) -> None:
    x.register_hook(raise_in_hook)
    (y * 2 + x).backward(ones(3))


@pytest.mark.parametrize(
    "fails",
    [
        _fails_on_shape,
        _fails_on_freed_graph,
        _fails_on_change_in_place,
        _fails_in_a_rule,
        _fails_in_a_hook,
        _fails_in_a_leafs_hook,
    ],
)
@pytest.mark.parametrize("earlier", [False, True], ids=["no gradient yet", "a gradient from before"])
def test_a_failed_backward_changes_no_gradient(fails: Callable[[Any, Any], None], earlier: bool) -> None:
    x, y = leaf(3), leaf(3)
    if earlier:
        (x * 2 + y * 3).backward(ones(3))
    before = [None if t.grad is None else t.grad.clone() for t in (x, y)]
    with pytest.raises(RuntimeError):
        fails(x, y)
    for t, g in zip((x, y), before, strict=True):
        assert t.grad is None if g is None else mg.equal(t.grad, g)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.add_(ones(2, 4)),
        lambda t: t.copy_(ones(3)),
        lambda t: t.mul_("2"),
        lambda t: t.__setitem__(slice(0, 2), ones(2, 2, 2, 2)),
        lambda t: t.__setitem__(9, 1.0),
        lambda t: t.clamp_(),
    ],
    ids=["add_", "copy_", "mul_", "setitem-shape", "setitem-index", "clamp_"],
)
def test_a_failed_change_in_place_changes_nothing(change: Callable[[Any], Any]) -> None:
    t = mg.rand(4)
    before, version = t.clone(), t._version[0]
    with pytest.raises((ValueError, TypeError, IndexError)):
        change(t)
    assert mg.equal(t, before)
    assert t._version[0] == version


def test_a_refused_change_of_a_leaf_changes_nothing() -> None:
    x = leaf(3)
    before = x.detach().clone()
    for change in (lambda: x.add_(1), lambda: x[0:1].mul_(5), lambda: x.__setitem__(0, 7.0)):
        with pytest.raises(GraphError):
            change()
    assert mg.equal(x.detach(), before)


def test_a_failed_add_param_group_leaves_the_groups() -> None:
    p = leaf(2)
    optimizer = sgd(p)
    for group in ({"params": [p]}, {"params": []}, {"params": ["w"]}, [p]):
        with pytest.raises((ValueError, TypeError)):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1


def test_a_failed_optimizer_load_leaves_settings_and_state() -> None:
    p = leaf(2)
    optimizer = sgd(p, momentum=0.9)
    p.grad = ones(2)
    optimizer.step()
    momentum = optimizer.state[p]["momentum_buffer"].clone()
    other = leaf(3)
    wrong = sgd(other, lr=5.0, momentum=0.5)
    other.grad = ones(3)
    wrong.step()
    with pytest.raises(ValueError, match=r"\(3,\)"):
        optimizer.load_state_dict(wrong.state_dict())
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert mg.equal(optimizer.state[p]["momentum_buffer"], momentum)


def test_a_refused_schedule_leaves_the_optimizer() -> None:
    optimizer = sgd()
    before = dict(optimizer.param_groups[0])
    for make in (
        lambda: lr_scheduler.StepLR(optimizer, 0),
        lambda: lr_scheduler.OneCycleLR(optimizer, 1.0),
        lambda: lr_scheduler.LambdaLR(optimizer, [len, len]),
        lambda: lr_scheduler.ReduceLROnPlateau(optimizer, "less"),
    ):
        with pytest.raises(ValueError):
            make()
    assert optimizer.param_groups[0] == before


def test_a_failed_save_keeps_the_old_file_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    mg.save({"a": ones(2)}, path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        mg.save({"a": ones(2), "b": object()}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", [0, 7, 9, 60, -1], ids=str)
def test_a_tampered_file_is_refused(tmp_path: Path, where: int) -> None:
    path = tmp_path / "model.safetensors"
    mg.save({"weight": ones(20, 3)}, path)
    data = bytearray(path.read_bytes())
    if where == -1:
        del data[-5:]
    else:
        data[where] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=r"load: '.*model\.safetensors'"):
        mg.load(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    mg.save(nn.Linear(3, 2).state_dict(), path)
    data = path.read_bytes()
    for length in (0, 4, 8, 50, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="damaged, cut short, or not a safetensors file"):
            mg.load(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(ValueError, match=r"(?s)load: '.*model\.pt' is a pickle.*safetensors\.torch\.save_file"):
        mg.load(path)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(OSError, match=r"save: cannot write into .*file"):
        mg.save({"a": ones(2)}, file / "model.safetensors")
    with pytest.raises(IsADirectoryError, match=r"save: .* is a folder"):
        mg.save({"a": ones(2)}, tmp_path)
    assert list(tmp_path.iterdir()) == [file]


def test_modes_end_with_the_error_that_leaves_them() -> None:
    for mode in (mg.no_grad, mg.inference_mode, mg.autograd.detect_anomaly, mg.kernels.disabled):
        with pytest.raises(ZeroDivisionError), mode():
            raise ZeroDivisionError
    assert mg.is_grad_enabled()
    assert not mg.is_inference_mode_enabled()
    assert not mg.autograd.is_anomaly_enabled()
    assert mg.kernels.enabled()


def test_refused_randomness_draws_nothing() -> None:
    mg.manual_seed(1)
    expected = mg.rand(3)
    mg.manual_seed(1)
    for draw in (
        lambda: F.dropout(ones(3), 1.5),
        lambda: F.dropout1d(ones(3), 0.5),
        lambda: F.dropout2d(ones(2, 3, 4, 4), -1),
        lambda: F.alpha_dropout(ones(3), 1.5, True),
        lambda: mg.randint(5, 2, (3,)),
        lambda: mg.rand(-1),
        lambda: mg.randperm(-1),
    ):
        with pytest.raises(ValueError):
            draw()
    assert mg.equal(mg.rand(3), expected)


def test_a_refused_requires_grad_leaves_the_tensor() -> None:
    t = mg.tensor([1, 2])
    with pytest.raises(DtypeError):
        t.requires_grad = True
    assert not t.requires_grad
    y = leaf(2) * 2
    with pytest.raises(GraphError):
        y.requires_grad_(False)
    assert y.requires_grad


def test_the_engine_goes_on_after_an_error() -> None:
    x = leaf(3)
    with pytest.raises(ShapeError):
        (x * 2 + ones(4)).backward(ones(4))
    upstream = mg.rand(3)
    (x * 2).backward(upstream)
    assert mg.allclose(x.grad, upstream * 2)
