"""Mistakes that people make, each with the error it must give.

One table: what is done wrong, the exception, and what its message must say. A message names the operation or
the argument, what came, and what was expected. That a failed call leaves nothing half-done is tested in
``test_nothing_half_done.py``.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.errors import AnomalyError, DeviceError, DtypeError, GraphError, ShapeError
from minigrad.optim import lr_scheduler
from minigrad.utils.data import DataLoader, TensorDataset, random_split

Mistake = tuple[str, Callable[[], Any], type[BaseException], str]
ones = mg.ones


def leaf(*shape: int) -> mg.Tensor:
    """A tensor that requires a gradient."""
    return mg.rand(*shape, requires_grad=True)


def classes(*values: float) -> mg.Tensor:
    return mg.tensor(list(values))


def sgd(*parameters: Any, **settings: Any) -> optim.SGD:
    return optim.SGD(list(parameters) or [leaf(2)], **{"lr": 0.1, **settings})


# --- mistakes that take more than one line


def backward_twice() -> None:
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    y.backward()


def backward_after_no_grad() -> None:
    with mg.no_grad():
        y = (leaf(3) * 2).sum()
    y.backward()


def backward_after_in_place_change() -> None:
    y = leaf(3).exp()
    y.add_(1)
    y.backward(ones(3))


def in_place_on_a_leaf() -> None:
    x = leaf(3)
    x += 1


def in_place_on_a_view_of_a_leaf() -> None:
    leaf(3)[0:2].mul_(2)


def write_into_a_leaf() -> None:
    leaf(3)[0] = 1.0


def hook_with_a_wrong_shape() -> None:
    x = leaf(3)
    x.register_hook(lambda g: ones(2))
    (x * 2).backward(ones(3))


class OneGradientOfTwo(mg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        return x + y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy


class GradientOfAWrongShape(mg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy.sum()


class NotStatic(mg.autograd.Function):
    def forward(ctx: Any, x: Any) -> Any:  # noqa: N805
        return x

    def backward(ctx: Any, dy: Any) -> Any:  # noqa: N805
        return dy


def watched(f: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        with mg.autograd.detect_anomaly():
            return f()

    return run


class Unfinished(nn.Module):
    pass


class WithoutSuper(nn.Module):
    def __init__(self) -> None:
        self.fc = nn.Linear(1, 1)


def one_cycle_too_far() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=2)
    for _ in range(3):
        optimizer.step()
        schedule.step()


NAN = float("nan")
WEIGHTS = {"weight": ones(3, 2), "bias": ones(3)}

# fmt: off
MISTAKES: list[Mistake] = [
    # shapes
    ("add", lambda: ones(2, 3) + ones(4), ShapeError,
     r"Add: shapes \(2, 3\) and \(4,\) do not broadcast.*sizes 3 and 4"),
    ("maximum", lambda: mg.maximum(ones(3), ones(2)), ShapeError, r"maximum: shapes \(3,\) and \(2,\)"),
    ("compare", lambda: ones(3) < ones(2), ShapeError, r"less: shapes \(3,\) and \(2,\)"),
    ("where", lambda: mg.where(ones(3) > 0, ones(2), ones(3)), ShapeError,
     r"Where: shapes .*\(2,\).*do not broadcast"),
    ("matmul", lambda: ones(2, 3) @ ones(4, 5), ShapeError,
     r"matmul: shapes \(2, 3\) and \(4, 5\).*\(3\) must equal.*\(4\)"),
    ("matmul-0d", lambda: ones(2, 3) @ mg.tensor(1.0), ShapeError,
     r"matmul: both operands need at least one axis.*use \*"),
    ("mm", lambda: mg.mm(ones(2, 3), ones(3)), ShapeError,
     r"mm: expected two tensors of 2 axes.*\(2, 3\) and \(3,\)"),
    ("bmm", lambda: mg.bmm(ones(2, 3, 4), ones(3, 4, 5)), ShapeError, r"bmm: batches differ"),
    ("einsum", lambda: mg.einsum("ij,jk->ik", ones(2, 3), ones(4, 5)), ShapeError,
     r"einsum: label 'j'.*3 and 4"),
    ("linear", lambda: nn.Linear(512, 256)(ones(64, 784)), ShapeError,
     r"Linear: input has 784 features in its last axis \(shape \(64, 784\)\), "
     r"weight expects 512 \(shape \(256, 512\)\)"),
    ("linear-bias", lambda: F.linear(ones(2, 3), ones(4, 3), ones(5)), ShapeError,
     r"Linear: bias has shape \(5,\).*\(4,\)"),
    ("conv-channels", lambda: nn.Conv2d(4, 8, 3)(ones(2, 3, 9, 9)), ShapeError,
     r"conv2d: input has 3 channels \(shape \(2, 3, 9, 9\)\), weight of shape \(8, 4, 3, 3\).*expects 4"),
    ("conv-kernel", lambda: nn.Conv2d(3, 8, 5)(ones(2, 3, 4, 9)), ShapeError,
     r"conv2d: an input of 4×9 with padding 0×0.*kernel_size 5×5.*output size = ⌊.*= 0×5.*more padding"),
    ("conv-rank", lambda: nn.Conv2d(3, 8, 3)(ones(2, 27)), ShapeError,
     r"conv2d: input must have axes \(N, C, H, W\) or \(C, H, W\), got shape \(2, 27\)"),
    ("conv-stride", lambda: F.conv2d(ones(1, 1, 3, 3), ones(1, 1, 2, 2), stride=0), ShapeError,
     r"conv2d: stride must be positive, got 0"),
    ("conv-groups", lambda: nn.Conv2d(3, 8, 3, groups=2), ValueError,
     r"Conv2d: in_channels = 3 is not divisible by groups=2"),
    ("conv-bias", lambda: F.conv2d(ones(1, 1, 3, 3), ones(2, 1, 2, 2), ones(1)), ShapeError,
     r"conv2d: bias has shape \(1,\), weight of shape \(2, 1, 2, 2\) expects \(2,\)"),
    ("conv-same", lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"), ShapeError,
     r"Conv2d: padding='same' keeps the size, which stride \(2, 2\) does not; use stride=1"),
    ("conv-dtype", lambda: F.conv2d(ones(1, 1, 3, 3), ones(2, 1, 2, 2).double()), DtypeError,
     r"conv2d: weight has dtype minigrad.float64.*input minigrad.float32.*\.to\(dtype\)"),
    ("conv-transpose-size", lambda: nn.ConvTranspose2d(1, 1, 3, 2)(ones(1, 1, 4, 4), (11, 9)), ShapeError,
     r"ConvTranspose2d: output_size \(11, 9\) is out of reach.*\(9, 9\) to \(10, 10\)"),
    ("fold-columns", lambda: F.fold(ones(1, 4, 5), (3, 3), 2), ShapeError,
     r"fold: input has 5 columns.*one per window.*2·2 = 4"),
    ("reshape", lambda: ones(2, 3).reshape(4, 2), ShapeError,
     r"reshape: shape \(4, 2\) cannot hold the 6 elements"),
    ("reshape-twice-unknown", lambda: ones(2, 3).reshape(-1, -1), ShapeError, r"only one size may be -1"),
    ("view", lambda: ones(2, 3).t().view(6), ShapeError, r"view: .*without a copy; use reshape"),
    ("cat", lambda: mg.cat([ones(2, 3), ones(2, 4)]), ShapeError,
     r"cat: all tensors must agree except along dim 0"),
    ("cat-tensor", lambda: mg.cat(ones(2, 3)), TypeError,
     r"cat: expected a non-empty list or tuple of tensors, got Tensor"),
    ("stack", lambda: mg.stack([ones(2), ones(3)]), ShapeError,
     r"stack: all tensors must have one shape, got \(2,\), \(3,\)"),
    ("permute", lambda: ones(2, 3).permute(0, 0), ShapeError,
     r"permute: dims \(0, 0\) must name each of the 2 axes"),
    ("expand", lambda: ones(2, 3).expand(2, 4), ShapeError,
     r"expand: shape \(2, 3\) cannot be expanded to \(2, 4\)"),
    ("transpose", lambda: ones(2, 3).transpose(0, 2), IndexError,
     r"transpose: dim 2 is out of range for 2 axes"),
    ("split", lambda: ones(5).split([2, 2]), ShapeError, r"split: sizes \[2, 2\] add up to 4.*has 5"),
    ("pad", lambda: F.pad(ones(2, 3), (1, 1, 1)), ShapeError, r"pad: expected 2 widths for each"),
    ("pad-reflect", lambda: F.pad(ones(1, 2, 3), (3, 0), "reflect"), ShapeError,
     r"pad: mode 'reflect' takes widths from 0 to 2 on axis 2 .*got \(3, 0\)"),
    ("pad-axes", lambda: F.pad(ones(4), (1, 1), "circular"), ShapeError,
     r"pad: mode 'circular' takes 2 widths for shapes \(C, W\) or \(N, C, W\).*shape \(4,\)"),
    ("pad-mode", lambda: F.pad(ones(4), (1, 1), "mirror"), ValueError, r"pad: mode must be 'constant'.*'mirror'"),
    ("interpolate-mode", lambda: F.interpolate(ones(1, 1, 4, 4), 8, mode="lanczos"), NotImplementedError,
     r"mode 'lanczos' is not in minigrad; it has 'nearest'"),
    ("interpolate-size", lambda: F.interpolate(ones(1, 1, 4, 4)), ValueError,
     r"interpolate: give either size or scale_factor, got neither"),
    ("interpolate-axes", lambda: F.interpolate(ones(4, 4), 8), ShapeError, r"interpolate: expected input.*\(4, 4\)"),
    ("pixel-shuffle", lambda: F.pixel_shuffle(ones(6, 2, 2), 2), ShapeError, r"pixel_shuffle: 6 channels.*= 4"),
    ("dropout1d-axes", lambda: F.dropout1d(ones(2, 3, 4, 4)), ShapeError, r"dropout1d: expected input \(N, C, L\)"),
    ("sum-dim", lambda: ones(2, 3).sum(dim=2), IndexError,
     r"sum: dim 2 is out of range for 2 axes; expected -2 to 1"),
    ("argmax-of-nothing", lambda: ones(0, 3).argmax(dim=0), ShapeError, r"argmax: axis 0 of shape \(0, 3\)"),
    ("softmax-without-dim", lambda: F.softmax(ones(2, 3)), TypeError, r"softmax: dim is missing"),
    ("item", lambda: ones(3).item(), ShapeError, r"item: only a tensor with one element.*\(3,\)"),
    ("truth", lambda: bool(ones(3)), ShapeError,
     r"truth of a tensor with 3 elements is ambiguous; use .any\(\) or .all\(\)"),
    ("loop-over-0d", lambda: list(mg.tensor(1.0)), TypeError, r"iter: a tensor without axes"),
    ("ragged", lambda: mg.tensor([[1, 2], [3]]), ShapeError,
     r"tensor: the rows of nested data must have one length"),
    ("negative-size", lambda: mg.zeros(-1), ShapeError, r"zeros: sizes must not be negative, got \(-1,\)"),
    ("broadcast-in-place", lambda: ones(3).add_(ones(2, 3)), ShapeError,
     r"add_: .*\(2, 3\) does not broadcast into.*\(3,\)"),
    # pools
    ("pool-kernel", lambda: nn.MaxPool2d(5)(ones(2, 3, 4, 9)), ShapeError,
     r"max_pool2d: input of shape \(2, 3, 4, 9\) gives an output of height 0: ⌊\(4 \+ 2·0 − 1·\(5 − 1\) − 1\) / 5⌋"),
    ("pool-padding", lambda: nn.MaxPool2d(2, padding=2)(ones(2, 3, 4, 9)), ShapeError,
     r"max_pool2d: padding 2 is more than half of the kernel's height, 2"),
    ("pool-rank", lambda: F.avg_pool2d(ones(4, 9), 2), ShapeError,
     r"avg_pool2d: input must have shape \(N, C, H, W\) or \(C, H, W\), got \(4, 9\)"),
    ("pool-stride", lambda: nn.AvgPool2d(2, stride=0), ShapeError, r"AvgPool2d: stride must be at least 1, got 0"),
    ("pool-of-integers", lambda: F.max_pool2d(ones(1, 1, 4, 4).long(), 2), DtypeError,
     r"max_pool2d: input has dtype minigrad.int64"),
    ("pool-norm", lambda: nn.LPPool2d(0.5, 2), ValueError, r"LPPool2d: norm_type must be at least 1.*got 0\.5"),
    ("adaptive-pool-size", lambda: nn.AdaptiveAvgPool2d(0)(ones(1, 1, 4, 4)), ShapeError,
     r"adaptive_avg_pool2d: output_size must be at least 1"),
    ("unpool-index", lambda: F.max_unpool2d(ones(1, 1, 2, 2), mg.full((1, 1, 2, 2), 16, dtype=mg.int64), 2), IndexError,
     r"max_unpool2d: index 16 is outside the output of 4 × 4 places"),
    # normalization
    ("batch-norm-channels", lambda: nn.BatchNorm2d(64)(ones(8, 32, 4, 4)), ShapeError,
     r"batch_norm: input has 32 channels \(axis 1 of shape \(8, 32, 4, 4\)\), weight expects 64 \(shape \(64,\)\)"),
    ("batch-norm-rank", lambda: nn.BatchNorm2d(3)(ones(8, 3)), ShapeError,
     r"BatchNorm2d: expected an input \(N, C, H, W\), got shape \(8, 3\)"),
    ("batch-of-one", lambda: nn.BatchNorm1d(3)(ones(1, 3)), ValueError,
     r"batch_norm: input of shape \(1, 3\) has 1 value per channel.*larger batch, or eval"),
    ("batch-norm-dtype", lambda: nn.BatchNorm1d(3)(ones(4, 3).double()), DtypeError,
     r"batch_norm: input has dtype float64, weight float32.*\.float\(\)"),
    ("layer-norm-shape", lambda: nn.LayerNorm(128)(ones(4, 64)), ShapeError,
     r"layer_norm: normalized_shape \(128,\) must be.*last axes.*shape \(4, 64\)"),
    ("groups", lambda: nn.GroupNorm(3, 64), ValueError,
     r"GroupNorm: num_channels \(64\) must be divisible by num_groups \(3\)"),
    ("instance-of-one", lambda: nn.InstanceNorm2d(3)(ones(2, 3, 1, 1)), ValueError,
     r"instance_norm: input of shape \(2, 3, 1, 1\) has 1 value per channel of a sample"),
    # dtypes and kinds
    ("integers-with-gradient", lambda: mg.tensor([1, 2], requires_grad=True), DtypeError,
     r"requires_grad=True needs a floating"),
    ("requires_grad_", lambda: mg.tensor([1, 2]).requires_grad_(), DtypeError,
     r"only floating tensors carry.*int64; use .float"),
    ("mean-of-integers", lambda: mg.tensor([1, 2]).mean(), DtypeError,
     r"mean: input has dtype minigrad.int64.*\.float\(\)"),
    ("list-for-tensor", lambda: mg.exp([1.0]), TypeError, r"exp: input must be a Tensor, got list"),
    ("array-for-tensor", lambda: nn.Linear(3, 2)(np.ones((2, 3))), TypeError,
     r"linear: input must be a Tensor, got ndarray"),
    ("words", lambda: mg.tensor("abc"), DtypeError, r"tensor: data must be numbers, got str"),
    ("dtype-name", lambda: mg.zeros(3, dtype="float33"), DtypeError,
     r"no element type 'float33'; it has float16"),
    ("where-condition", lambda: mg.where(ones(3), ones(3), ones(3)), DtypeError,
     r"where: condition has dtype.*expected bool"),
    ("float-into-integers", lambda: mg.tensor([1, 2]).add_(1.5), DtypeError,
     r"add_: a floating number cannot be written into"),
    ("bit-and-of-floats", lambda: ones(2) & ones(2), DtypeError,
     r"bitwise_and: defined for bool and integer"),
    ("float-size", lambda: mg.randn(2.0), TypeError, r"randn: sizes must be integers"),
    # indices
    ("index", lambda: ones(3)[5], IndexError, r"index 5 is out of bounds for axis 0 with size 3"),
    ("too-many-indices", lambda: ones(3)[0, 0], IndexError, r"too many indices"),
    ("float-index", lambda: ones(3)[mg.tensor([0.0])], IndexError,
     r"index: an index tensor must hold integers or bools"),
    ("gather", lambda: mg.gather(ones(2, 3), 1, mg.tensor([[4], [0]])), IndexError,
     r"gather: index 4 is out of range.*size 3"),
    ("embedding", lambda: nn.Embedding(10, 3)(mg.tensor([3, 10])), IndexError,
     r"embedding: index 10 is out of range.*10 rows"),
    ("embedding-of-floats", lambda: nn.Embedding(10, 3)(mg.tensor([3.0])), DtypeError,
     r"embedding: indices must be int64"),
    ("one_hot", lambda: F.one_hot(mg.tensor([0, 3]), 3), IndexError,
     r"one_hot: classes run from 0 to 3, num_classes is 3"),
    ("topk", lambda: ones(3).topk(5), ShapeError, r"topk: k = 5 is out of range for axis 0 of size 3"),
    # losses
    ("float-classes", lambda: F.cross_entropy(leaf(2, 3), classes(0.0, 1.0)), DtypeError,
     r"class indices must be int64 \(.long"),
    ("class-3-of-3", lambda: F.cross_entropy(leaf(2, 3), classes(0, 3)), IndexError,
     r"target class 3 is out of range.*0 to 2"),
    ("class-minus-1", lambda: F.cross_entropy(leaf(2, 3), classes(0, -1)), IndexError,
     r"target class -1 is out of range"),
    ("batch", lambda: F.cross_entropy(leaf(2, 3), classes(0, 1, 2)), ShapeError,
     r"must have shape \(2,\), got \(3,\)"),
    ("reduction", lambda: F.mse_loss(leaf(2), ones(2), reduction="avg"), ValueError,
     r"reduction must be one of none, mean, sum; got 'avg'"),
    ("class-weights", lambda: F.nll_loss(leaf(2, 3), classes(0, 1), ones(2)), ShapeError,
     r"weight has shape \(2,\).*3 classes"),
    ("bce-shape", lambda: F.binary_cross_entropy(leaf(4, 1), ones(4)), ShapeError,
     r"\(4, 1\), target \(4,\).*squeeze"),
    ("bce-input", lambda: nn.BCELoss()(classes(1.5), ones(1)), ValueError,
     r"input must be probabilities.*1\.5.*sigmoid"),
    ("bce-target", lambda: nn.BCELoss()(classes(0.5), classes(2.0)), ValueError,
     r"target must be probabilities.*2\.0"),
    ("bce-nan-target", lambda: nn.BCELoss()(classes(0.5), classes(NAN)), ValueError,
     r"target must be probabilities.*got NaN"),
    ("bce-nan-target-many", lambda: nn.BCELoss()(ones(500) / 2, ones(500) * NAN), ValueError,
     r"target.*got NaN"),
    ("mse-shape", lambda: F.mse_loss(leaf(4, 1), ones(3, 2)), ShapeError,
     r"mse_loss: input has shape \(4, 1\), target \(3, 2\)"),
    ("mse-list", lambda: F.mse_loss(leaf(2), [1.0, 2.0]), TypeError,
     r"mse_loss: target must be a Tensor, got list"),
    # NaN: a loss of NaN targets is NaN, as in PyTorch, at no cost; anomaly mode says where it came from
    ("nan-target", watched(lambda: F.mse_loss(leaf(2), classes(0, NAN))), AnomalyError,
     r"MSE: argument 1.*NaN.*index \(1,\)"),
    ("nan-input", watched(lambda: nn.Linear(1, 1)(classes(NAN))), AnomalyError,
     r"Linear: argument 0.*NaN.*came in with the data"),
    ("nan-made", watched(lambda: mg.log(leaf(2) - 2)), AnomalyError,
     r"Log: forward made a NaN.*test_bad_input\.py"),
    # the graph
    ("backward-of-many", lambda: (leaf(3) * 2).backward(), GraphError,
     r"only for a scalar.*shape \(3,\).*sum\(\), mean\(\)"),
    ("backward-of-nothing", lambda: ones(1).backward(), GraphError,
     r"does not require a gradient.*requires_grad=True"),
    ("backward-after-no_grad", backward_after_no_grad, GraphError, r"no_grad\(\)"),
    ("backward-twice", backward_twice, GraphError, r"already walked.*retain_graph=True"),
    ("gradient-shape", lambda: (leaf(3) * 2).backward(ones(2)), ShapeError,
     r"gradient has shape \(2,\), expected.*\(3,\)"),
    ("gradient-number", lambda: (leaf(1) * 2).backward(1.0), TypeError,
     r"the gradient is a float, expected a Tensor"),
    ("changed-in-place", backward_after_in_place_change, GraphError,
     r"Exp: .*changed in place by add_ \(.*test_bad_input\.py"),
    ("leaf-in-place", in_place_on_a_leaf, GraphError,
     r"add_: a leaf that requires a gradient cannot be.*no_grad\(\)"),
    ("leaf-view-in-place", in_place_on_a_view_of_a_leaf, GraphError, r"mul_: a view of a leaf"),
    ("leaf-setitem", write_into_a_leaf, GraphError, r"setitem: a leaf that requires a gradient"),
    ("numpy-of-graph", lambda: leaf(3).numpy(), GraphError, r"numpy: .*use .detach\(\).numpy\(\)"),
    ("unrelated-input", lambda: mg.autograd.grad(leaf(2).sum(), leaf(2)), GraphError,
     r"do not depend on input 0.*allow_unused"),
    ("set-grad", lambda: setattr(leaf(3), "grad", ones(2)), ShapeError,
     r"grad: expected shape \(3,\), got \(2,\)"),
    ("hook-shape", hook_with_a_wrong_shape, ShapeError,
     r"register_hook: a hook must return.*\(3,\), got shape \(2,\)"),
    ("hook-on-constant", lambda: ones(3).register_hook(print), GraphError,
     r"register_hook: .*does not require a gradient"),
    ("function-static", lambda: NotStatic.apply(leaf(2)), TypeError, r"NotStatic: .*must be static methods"),
    ("function-count", lambda: OneGradientOfTwo.apply(leaf(2), leaf(2)).backward(ones(2)), GraphError,
     r"returned 1.*expected 2"),
    ("function-shape", lambda: GradientOfAWrongShape.apply(leaf(2)).backward(ones(2)), ShapeError,
     r"shape \(\).*shape \(2,\)"),
    ("pickle-of-graph", lambda: pickle.dumps(leaf(2) * 2), GraphError, r"pickle: only leaves.*detach"),
    # modules
    ("no-forward", lambda: Unfinished()(ones(2)), NotImplementedError, r"Unfinished: forward is missing"),
    ("no-super", WithoutSuper, AttributeError, r"WithoutSuper: .*super\(\).__init__\(\)"),
    ("module-list-called", lambda: nn.ModuleList([nn.ReLU()])(ones(2)), NotImplementedError,
     r"ModuleList: .*Sequential"),
    ("function-in-sequential", lambda: nn.Sequential(nn.ReLU(), F.relu), TypeError,
     r"Sequential: .*function is not a Module"),
    ("dropout", lambda: nn.Dropout(1.5), ValueError, r"Dropout: p must be.*between 0 and 1, got 1\.5"),
    ("dropout2d", lambda: nn.Dropout2d(-0.1), ValueError, r"Dropout2d: p must be.*between 0 and 1, got -0\.1"),
    ("padding-layer", lambda: nn.ReflectionPad2d((1, 1)), ValueError,
     r"ReflectionPad2d: padding must be an integer or 4 of them.*got \(1, 1\)"),
    ("attention-kernel", lambda: nn.SpatialAttention(4), ValueError,
     r"SpatialAttention: kernel_size must be a positive odd integer, got 4"),
    ("summary-size", lambda: mg.utils.summary(nn.Linear(3, 2), 3), TypeError,
     r"summary: input_size must be a shape such as"),
    ("summary-model", lambda: mg.utils.summary(ones(3), (1, 3)), TypeError, r"summary: model must be a Module, got"),
    ("linear-size", lambda: nn.Linear(3.5, 2), ValueError, r"Linear: in_features must be.*integer, got 3\.5"),
    ("attribute", lambda: nn.Linear(1, 1).wieght, AttributeError,
     r"'Linear' object has no attribute 'wieght'"),
    ("state-missing", lambda: nn.Linear(2, 3).load_state_dict({"weight": ones(3, 2)}), RuntimeError,
     r'Missing key.*"bias" \(3,\)'),
    ("state-misspelt", lambda: nn.Linear(2, 3).load_state_dict({**WEIGHTS, "bais": ones(3)}), RuntimeError,
     r'Unexpected.*"bais"'),
    ("state-shape", lambda: nn.Linear(2, 3).load_state_dict({**WEIGHTS, "weight": ones(2, 3)}), RuntimeError,
     r"size mismatch for weight: \(2, 3\) in the state, \(3, 2\) in the module"),
    ("state-list", lambda: nn.Linear(2, 3).load_state_dict([1]), TypeError,
     r"load_state_dict: expected a mapping.*got list"),
    # optimizers and schedules
    ("no-parameters", lambda: optim.SGD([], lr=0.1), ValueError, r"SGD: got no parameters.*ModuleList"),
    ("one-tensor", lambda: optim.SGD(leaf(2), lr=0.1), TypeError,
     r"SGD: params must be an iterable.*\[parameter\]"),
    ("not-tensors", lambda: optim.Adam(["w"]), TypeError,
     r"Adam: can only optimize tensors, parameter 0 is a str"),
    ("not-a-leaf", lambda: sgd(leaf(2) * 2), ValueError, r"SGD: can't optimize a non-leaf tensor"),
    ("negative-lr", lambda: sgd(lr=-0.1), ValueError, r"SGD: lr must not be negative, got -0\.1"),
    ("betas", lambda: optim.Adam([leaf(2)], betas=(1.0, 0.9)), ValueError,
     r"Adam: beta1 must lie in \[0, 1\), got 1\.0"),
    ("nesterov", lambda: sgd(nesterov=True), ValueError, r"SGD: nesterov needs momentum"),
    ("misspelt-setting", lambda: sgd(momntum=0.9), TypeError, r"momntum"),
    ("optimizer-state", lambda: sgd().load_state_dict(sgd(leaf(2), leaf(3)).state_dict()), ValueError,
     r"groups of \[2\].*\[1\]"),
    ("schedule-of-model", lambda: lr_scheduler.StepLR(nn.Linear(1, 1), 1), TypeError,
     r"StepLR: optimizer must be.*got Linear"),
    ("step-size", lambda: lr_scheduler.StepLR(sgd(), 0), ValueError,
     r"StepLR: step_size must be positive, got 0"),
    ("plateau-mode", lambda: lr_scheduler.ReduceLROnPlateau(sgd(), "less"), ValueError,
     r"mode must be 'min' or 'max', got 'less'"),
    ("one-cycle-length", lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), ValueError,
     r"OneCycleLR: pass total_steps"),
    ("one-cycle-too-far", one_cycle_too_far, ValueError, r"OneCycleLR: step 3 of a cycle of 2"),
    # data
    ("batch-size", lambda: DataLoader(TensorDataset(ones(3)), 0), ValueError, r"DataLoader: batch_size = 0"),
    ("sampler-and-shuffle", lambda: DataLoader([1], shuffle=True, sampler=[0]), ValueError,
     r"sampler and shuffle=True exclude"),
    ("num-workers", lambda: DataLoader([1], num_workers=-1), ValueError, r"DataLoader: num_workers = -1"),
    ("no-length", lambda: DataLoader(iter([1, 2])), TypeError, r"DataLoader: dataset .* has no __len__"),
    ("unequal-lengths", lambda: TensorDataset(ones(3), ones(4)), ValueError,
     r"TensorDataset: .*first axis: \[3, 4\]"),
    ("split-lengths", lambda: random_split(range(5), [2, 2]), ValueError,
     r"random_split: lengths \[2, 2\] add up to 4"),
    ("unequal-samples", lambda: list(DataLoader([ones(2), ones(3)], 2)), ShapeError,
     r"samples must agree in shape"),
    ("strange-samples", lambda: list(DataLoader([object()])), TypeError,
     r"default_collate: .*object.*expected tensors"),
    # names, devices, randomness
    ("unknown-name", lambda: mg.fft, AttributeError, r"minigrad has no 'fft'"),
    ("unknown-layer", lambda: nn.Lineer, AttributeError, r"minigrad\.nn.*'Lineer'"),
    ("unknown-optimizer", lambda: optim.ASGD, AttributeError, r"minigrad\.optim.*'ASGD'"),
    ("unknown-method", lambda: ones(3).foo, AttributeError, r"'Tensor' .*'foo'"),
    ("unknown-device", lambda: ones(3, device="tpu"), DeviceError,
     r"'tpu' is not a device; use 'cpu', 'cuda'"),
    ("nonlinearity", lambda: nn.init.calculate_gain("foo"), ValueError,
     r"calculate_gain: unknown nonlinearity 'foo'"),
    ("seed", lambda: mg.manual_seed("a"), ValueError, r"manual_seed: seed must be an integer, got 'a'"),
    ("threads", lambda: mg.set_num_threads(0), ValueError,
     r"set_num_threads: n must be a positive integer, got 0"),
    ("randperm", lambda: mg.randperm(-1), ValueError, r"randperm: n must not be negative, got -1"),
    ("randint", lambda: mg.randint(5, 2, (3,)), ValueError,
     r"randint: high must be greater than low, got 5 and 2"),
    # files
    ("no-file", lambda: mg.load("/nowhere/x.safetensors"), FileNotFoundError,
     r"load: there is no file '/nowhere/x"),
    ("no-folder", lambda: mg.save({}, "/nowhere/x.safetensors"), FileNotFoundError,
     r"save: the folder '/nowhere' does not exist"),
    ("unpickle", lambda: mg.load("x", weights_only=False), ValueError,
     r"load: weights_only=False would unpickle"),
    ("save-a-model", lambda: mg.save(nn.Linear(1, 1), "x"), TypeError,
     r"save: obj is a Linear.*state_dict\(\)"),
]
# fmt: on


@pytest.mark.parametrize(("mistake", "error", "message"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_named(mistake: Callable[[], Any], error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=f"(?s){message}"):
        mistake()


def test_the_table_is_long_and_its_names_are_unique() -> None:
    names = [m[0] for m in MISTAKES]
    assert len(names) >= 50
    assert len(set(names)) == len(names)


def test_a_loss_over_shapes_that_broadcast_warns() -> None:
    with pytest.warns(UserWarning, match=r"mse_loss: input has shape \(4, 1\), target \(4,\).*squeeze"):
        F.mse_loss(leaf(4, 1), ones(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.mse_loss(leaf(4, 1), ones(4, 1))


@pytest.mark.skipif(not mg.cuda.is_available(), reason="needs a GPU")
def test_tensors_on_different_devices_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"Add: its tensors are on different devices \(cpu, cuda\).*\.to\(device\)"):
        ones(3) + ones(3, device="cuda")


@pytest.mark.skipif(mg.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_explained() -> None:
    with pytest.raises(DeviceError, match=r"cannot be used here.*minigrad\[cuda12\].*device='cpu'"):
        ones(3, device="cuda")
