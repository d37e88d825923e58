"""default_collate and default_convert: the same structures, dtypes and values as PyTorch's."""

from collections import ChainMap, OrderedDict, UserDict, UserList, defaultdict, deque, namedtuple
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest

import minigrad
from minigrad.training.batches import to_device
from minigrad.utils.data import DataLoader, default_collate, default_convert

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


# --- every sample counts, not the first alone


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("batch", "dtype", "values"),
    [
        ([1, 2.5], "float64", [1, 2.5]),
        ([True, 2], "int64", [1, 2]),
        ([True, 2, 0.5], "float64", [1, 2, 0.5]),
        ([True, 0.5], "float64", [1, 0.5]),
        ([1, np.float32(2.5)], "float32", [1, 2.5]),
        ([0.1, np.float32(2.5)], "float64", [0.1, 2.5]),
        ([np.float32(0.5), np.float64(0.1)], "float64", [0.5, 0.1]),
        ([np.int8(-1), np.uint8(200)], "int16", [-1, 200]),
        ([np.int16(300), np.int64(2**40)], "int64", [300, 2**40]),
        ([np.bool_(True), np.uint8(7)], "uint8", [1, 7]),
        ([np.bool_(True), False], "bool", [True, False]),
        ([np.array(1), 2.5], "float64", [1, 2.5]),
        ([np.array([1]), np.array([2.5])], "float64", [[1], [2.5]]),
        ([np.array([1]), np.array([2.5], np.float32)], "float32", [[1], [2.5]]),
        ([np.array([True]), np.array([3])], "int64", [[1], [3]]),
        ([minigrad.tensor(1), minigrad.tensor(2.5)], "float32", [1, 2.5]),
        ([minigrad.tensor([1.5]), minigrad.tensor([0.1], dtype=minigrad.float64)], "float64", [[1.5], [0.1]]),
        ([minigrad.tensor([1]), np.array([2.5])], "float64", [[1], [2.5]]),
        ([minigrad.tensor(7), 2.5], "float64", [7, 2.5]),
    ],
)
def test_mixed_numbers_take_a_common_dtype_in_any_order(batch, dtype, values, turned):
    result = default_collate(batch[::-1] if turned else batch)
    assert result.dtype.name == dtype
    assert result.tolist() == (values[::-1] if turned else values)
    fields = default_collate([(x, "text") for x in batch])
    assert fields[0].tolist() == values


def test_gradients_go_through_mixed_dtypes():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    g = minigrad.tensor([[0.3, -0.7], [1.1, 0.2]], dtype=minigrad.float64)
    default_collate([np.zeros(2), x * 3]).backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 3 * g.numpy()[1], rtol=1e-6)


@dataclass
class Record:
    x: int


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "batch",
    [
        [1, None],
        [1.5, "text"],
        [1, b"bytes"],
        ["text", None],
        [np.float32(1), None],
        [minigrad.zeros(2), None],
        [minigrad.zeros(2), "ab"],
        [np.zeros(2), [0.0, 0.0]],
        [{"a": 1}, [1]],
        [(1, 2), "ab"],
        [[1], None],
        [Record(1), Record(2)],
        [1, 2j],
        [np.datetime64("2020"), np.datetime64("2021")],
        [np.datetime64("2020"), 3],
    ],
)
def test_what_is_no_number_among_numbers_is_a_type_error(batch, turned):
    batch = batch[::-1] if turned else batch
    with pytest.raises(TypeError, match="default_collate: sample is"):
        default_collate(batch)
    with pytest.raises(TypeError, match=r"default_collate: sample\['k'\]\[1\] is"):
        default_collate([{"k": (0, x)} for x in batch])


@pytest.mark.parametrize("turned", [False, True])
def test_samples_that_differ_in_their_fields_are_told(turned):
    turn = slice(None, None, -1 if turned else 1)
    with pytest.raises(ValueError, match=r"sample has the keys \[.*\] in the first .* in sample 1"):
        default_collate([{"a": 1}, {"a": 1, "b": 2}][turn])
    with pytest.raises(ValueError, match=r"sample\[0\] has shape \(.*\) in the first"):
        default_collate([(minigrad.zeros(2),), (np.zeros((2, 1)),)][turn])
    with pytest.raises(ValueError, match="has shape"):
        default_collate([minigrad.zeros(1), 2.0][turn])
    with pytest.raises(ValueError, match="sample has a whole number that int64 does not hold"):
        default_collate([2**63, 1][turn])
    assert default_collate([2**70, 0.5][turn]).tolist() == [2.0**70, 0.5][turn]


# --- containers keep what they are


class Named(dict):
    """A dict with an attribute, whose constructor takes something else than a dict."""

    def __init__(self, label, **fields):
        super().__init__(**fields)
        self.label = label


class Listed(list):
    pass


class Pair(tuple):
    pass


def kinds():
    yield defaultdict(list, a=1, b=2), defaultdict
    yield Named("x", a=1, b=2), Named
    yield OrderedDict(a=1, b=2), OrderedDict
    yield UserDict(a=1, b=2), UserDict
    yield ChainMap({"a": 1, "b": 2}), ChainMap
    yield MappingProxyType({"a": 1, "b": 2}), MappingProxyType
    yield Listed([1, 2]), Listed
    yield UserList([1, 2]), UserList
    yield deque([1, 2]), deque
    yield Point(1, 2), Point
    yield range(1, 3), list


@pytest.mark.parametrize(("sample", "kind"), [*kinds()], ids=lambda x: getattr(x, "__name__", None))
def test_containers_keep_their_type(sample, kind):
    batch = default_collate([sample, sample])
    moved, converted = to_device(batch, minigrad.device("cpu")), default_convert(sample)
    (loaded,) = DataLoader([sample, sample], 2)
    for result in (batch, moved, loaded):
        assert type(result) is kind
        first, second = result.values() if hasattr(result, "values") else result
        assert (first.tolist(), second.tolist()) == ([1, 1], [2, 2])
    assert type(converted) is kind
    if hasattr(sample, "label"):
        assert moved.label == "x"
    if kind is defaultdict:
        assert moved["new"] == []
    if kind is not list:
        assert list(sample.values() if hasattr(sample, "values") else sample) == [1, 2]  # the samples are left alone


def test_plain_tuples_become_lists_and_stay_tuples_on_the_way_to_a_device():
    assert type(default_collate([(1, 2), (3, 4)])) is list
    for pair in ((minigrad.zeros(1), 2), Pair((minigrad.zeros(1), 2))):
        assert type(to_device(pair, minigrad.device("cpu"))) is type(pair)
