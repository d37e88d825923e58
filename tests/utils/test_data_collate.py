"""default_collate and default_convert: the same structures, dtypes and values as PyTorch's."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import minigrad
from minigrad.utils.data import default_collate, default_convert

Point = namedtuple("Point", "x y")


def same(ours, theirs):
    """Equal structure and leaves, where a leaf tensor of ours stands for one of PyTorch's."""
    if isinstance(ours, minigrad.Tensor):
        assert ours.dtype.name == str(theirs.dtype).removeprefix("torch.")
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        return
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            same(ours[key], theirs[key])
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    else:
        assert ours == theirs


SAMPLES = [
    pytest.param(lambda t: [1, 2, 3], id="ints"),
    pytest.param(lambda t: [1.5, 2.0], id="floats"),
    pytest.param(lambda t: [True, False], id="bools"),
    pytest.param(lambda t: ["a", "bc"], id="strings"),
    pytest.param(lambda t: [b"a", b"bc"], id="bytes"),
    pytest.param(lambda t: [np.float32(1.5), np.float32(2)], id="numpy float32"),
    pytest.param(lambda t: [np.float64(1.5), np.float64(2)], id="numpy float64"),
    pytest.param(lambda t: [np.int16(1), np.int16(2)], id="numpy int16"),
    pytest.param(lambda t: [np.arange(6.0).reshape(2, 3), np.ones((2, 3))], id="arrays"),
    pytest.param(lambda t: [np.array(3), np.array(4)], id="0-d arrays"),
    pytest.param(lambda t: [t.arange(3), t.arange(3) * 2], id="tensors"),
    pytest.param(lambda t: [(t.zeros(2), 1), (t.ones(2), 0)], id="tuples"),
    pytest.param(lambda t: [[1, 2.0], [3, 4.0]], id="lists"),
    pytest.param(lambda t: [{"a": 1, "b": (1, "x")}, {"a": 2, "b": (3, "y")}], id="dicts"),
    pytest.param(lambda t: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)], id="ordered dicts"),
    pytest.param(lambda t: [Point(1, 2.0), Point(3, 4.0)], id="named tuples"),
    pytest.param(lambda t: [[], []], id="empty lists"),
]


@pytest.mark.parametrize("make", SAMPLES)
def test_collate_is_pytorchs(make):
    torch = pytest.importorskip("torch")
    same(default_collate(make(minigrad)), torch.utils.data.default_collate(make(torch)))


@pytest.mark.parametrize("make", SAMPLES)
def test_convert_is_pytorchs(make):
    torch = pytest.importorskip("torch")
    same(default_convert(make(minigrad)), torch.utils.data.default_convert(make(torch)))


def test_a_batch_owns_its_memory():
    x = np.zeros(3)
    batch = default_collate([x, x])
    batch += 1
    assert x.tolist() == [0, 0, 0]


def test_gradients_go_through():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    g = minigrad.tensor([[0.3, -0.7], [1.1, 0.2]])
    default_collate([x * 2, x * 3]).backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 2 * g.numpy()[0] + 3 * g.numpy()[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("batch", "kind", "message"),
    [
        ([np.zeros(3), np.zeros(4)], ValueError, r"shape \(3,\) in the first.*\(4,\) in sample 1"),
        ([(1, np.zeros(3)), (2, np.zeros(4))], ValueError, r"sample\[1\] has shape"),
        ([{"k": [1]}, {"k": [1, 2]}], ValueError, r"sample\['k'\] has \[1, 2\] elements"),
        ([None, None], TypeError, "sample is None"),
        ([(1, object()), (2, object())], TypeError, r"sample\[1\] is <object"),
        ([np.array(["a"])], TypeError, "dtype <U1"),
        ([np.zeros(2, dtype=np.uint16)], TypeError, "dtype uint16, which no tensor has"),
        ([np.zeros(2, dtype=complex)], TypeError, "dtype complex128"),
        ([], ValueError, "empty"),
    ],
)
def test_what_does_not_fit_is_named(batch, kind, message):
    with pytest.raises(kind, match=message):
        default_collate(batch)
