"""save and load: what travels, both ways to PyTorch, and every file that is not what it should be."""

import contextlib
import io
import json
import math
import os
import pickle
import stat
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import serialization

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def same(a, b):
    """Equal types, keys in order, dtypes, shapes and values."""
    assert type(a) is type(b)
    if isinstance(a, minigrad.Tensor):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        assert [type(k) for k in a] == [type(k) for k in b]
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, float) and math.isnan(a):
        assert math.isnan(b)
    else:
        assert a == b


def around(obj, tmp_path):
    path = tmp_path / "file.safetensors"
    minigrad.save(obj, path)
    assert os.listdir(tmp_path) == ["file.safetensors"]  # and no other file
    return minigrad.load(path)


def tensors():
    rng = np.random.default_rng(0)
    state = OrderedDict((f"z.{d}", minigrad.tensor(rng.integers(0, 2, (2, 3)).astype(d))) for d in DTYPES)
    state["a.scalar"] = minigrad.tensor(2.5)
    state["empty"] = minigrad.zeros(0, 3)
    state["m"] = minigrad.randn(4, 5)
    return state


def test_a_state_dict_comes_back_exactly(tmp_path):
    state = tensors()
    back = around(state, tmp_path)
    same(back, state)
    for t in back.values():
        assert not t.requires_grad
        t.zero_()  # its memory is its own


def test_a_plain_dict_comes_back_ordered(tmp_path):
    back = around({"b": minigrad.ones(1), "a": minigrad.zeros(1)}, tmp_path)
    assert type(back) is OrderedDict
    assert list(back) == ["b", "a"]
    assert around({}, tmp_path) == OrderedDict()


@pytest.mark.parametrize("obj", [{"b": minigrad.ones(3), "a": minigrad.zeros(2, 2)}, {"nested": [1, minigrad.ones(3)]}])
def test_equal_objects_give_equal_files(obj):
    files = set()
    for _ in range(20):
        file = io.BytesIO()
        minigrad.save(obj, file)
        files.add(file.getvalue())
    (only,) = files
    same(minigrad.load(io.BytesIO(only)), minigrad.load(io.BytesIO(only)))
    assert int.from_bytes(only[:8], "little") % 8 == 0


def test_a_model_travels(tmp_path):
    model = minigrad.nn.Sequential(minigrad.nn.Linear(3, 4), minigrad.nn.ReLU(), minigrad.nn.Linear(4, 2))
    other = minigrad.nn.Sequential(minigrad.nn.Linear(3, 4), minigrad.nn.ReLU(), minigrad.nn.Linear(4, 2))
    other.load_state_dict(around(model.state_dict(), tmp_path))
    x = minigrad.randn(5, 3)
    np.testing.assert_array_equal(model(x).detach().numpy(), other(x).detach().numpy())


@pytest.mark.parametrize("change", [lambda t: t.T, lambda t: t.flip(0), lambda t: t[:, ::2]])
def test_tensors_in_any_layout(tmp_path, change):
    t = change(minigrad.arange(12, dtype=minigrad.float32).reshape(3, 4))
    same(around({"t": t}, tmp_path)["t"], t)
    strided = minigrad.Tensor._wrap(np.arange(12.0).reshape(3, 4)[::-1, ::-2])
    same(around({"t": strided}, tmp_path)["t"], strided)


def test_tied_and_overlapping_tensors(tmp_path):
    t = minigrad.arange(6, dtype=minigrad.float32)
    state = {"a": t, "b": t, "c": t[1:4], "d": t.reshape(2, 3)}
    back = around(state, tmp_path)
    same(dict(back), state)
    back["a"].add_(1)
    same(back["b"], t)


def test_tensors_with_gradients(tmp_path):
    p = minigrad.nn.Parameter(minigrad.randn(3))
    q = p * 2
    back = around({"p": p, "q": q}, tmp_path)
    same(back["q"], q.detach())
    np.testing.assert_array_equal(back["p"].numpy(), p.detach().numpy())


# --- PyTorch


def test_pytorch_reads_ours(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    state = tensors()
    minigrad.save(state, tmp_path / "f")
    theirs = load_file(tmp_path / "f")
    assert set(theirs) == set(state)
    for name, t in state.items():
        assert str(theirs[name].dtype) == f"torch.{t.dtype.name}"
        assert theirs[name].shape == torch.Size(t.shape)
        np.testing.assert_array_equal(theirs[name].numpy(), t.numpy())


def test_we_read_pytorchs(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    state = {d: torch.arange(6).reshape(2, 3).to(getattr(torch, d)) for d in DTYPES}
    save_file(state, tmp_path / "f", metadata={"format": "pt", "note": "by hand"})
    ours = minigrad.load(tmp_path / "f")
    assert type(ours) is OrderedDict
    assert set(ours) == set(state)
    for name, t in state.items():
        assert ours[name].dtype.name == name
        np.testing.assert_array_equal(ours[name].numpy(), t.numpy())


@pytest.mark.parametrize("metadata", ["null", "{}", '{"note": "by hand"}'])
def test_a_file_of_another_writer_with_or_without_metadata(tmp_path, metadata):
    header = f'{{"__metadata__":{metadata},"w":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}'.encode()
    data = np.array([1.0, 2.0], "<f4").tobytes()
    (tmp_path / "f").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert minigrad.load(tmp_path / "f")["w"].tolist() == [1.0, 2.0]


def test_bfloat16_becomes_float32(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    values = torch.tensor([[1.0, -2.5, 3.0e38], [float("inf"), float("nan"), 1e-40]]).bfloat16()
    save_file({"b": values, "none": values[:0]}, tmp_path / "f")
    ours = minigrad.load(tmp_path / "f")
    assert ours["b"].dtype == minigrad.float32
    np.testing.assert_array_equal(ours["b"].numpy(), values.float().numpy())
    assert ours["none"].shape == (0, 3)


def test_other_dtypes_are_named(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "f")
    with pytest.raises(serialization.SerializationError, match=r"'w' in .*f' has dtype F8_E4M3"):
        minigrad.load(tmp_path / "f")


def test_an_optimizer_resumes(tmp_path):
    def make():
        minigrad.manual_seed(0)
        p = minigrad.nn.Parameter(minigrad.randn(4))
        return p, minigrad.optim.Adam([p], lr=0.1)

    def step(p, optimizer, g):
        p.grad = minigrad.tensor(g)
        optimizer.step()

    grads = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    p, optimizer = make()
    for g in grads[:3]:
        step(p, optimizer, g)
    q, other = make()
    checkpoint = around({"p": p.detach(), "optimizer": optimizer.state_dict(), "epoch": 3}, tmp_path)
    with minigrad.no_grad():
        q.copy_(checkpoint["p"])
    other.load_state_dict(checkpoint["optimizer"])
    for g in grads[3:]:
        step(p, optimizer, g)
        step(q, other, g)
    np.testing.assert_array_equal(q.detach().numpy(), p.detach().numpy())


# --- nested states

SCALARS = st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats() | st.text(max_size=5)
KEYS = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.tuples(st.integers(), st.text(max_size=2))
ARRAYS = st.builds(
    lambda n, d, wrap: wrap(np.arange(n).astype(d)),
    st.integers(0, 4),
    st.sampled_from(DTYPES),
    st.sampled_from([minigrad.tensor, np.asarray]),
)
NESTED = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(obj=st.lists(NESTED, max_size=3))
@settings(deadline=None, max_examples=60)
def test_any_nesting_comes_back(obj):
    file = io.BytesIO()
    minigrad.save(obj, file)
    file.seek(0)
    same(minigrad.load(file), obj)


def test_names_that_clash(tmp_path):
    one, two, three = (minigrad.tensor([float(i)]) for i in range(3))
    obj = {
        "a.b": one,
        "a": {"b": two},
        "list": [three],
        "list.0": one,
        "__metadata__": two,
        "": three,
        0: one,
        "0": two,
    }
    same(around(obj, tmp_path), obj)
    same(around({"__metadata__": one}, tmp_path), {"__metadata__": one})
    same(around({"": one, "é\n": two}, tmp_path), OrderedDict({"": one, "é\n": two}))


def test_numpy_numbers_become_pythons(tmp_path):
    back = around({"best": np.float32(0.5), "epoch": np.int64(3), np.int64(7): np.bool_(True)}, tmp_path)
    same(back, {"best": 0.5, "epoch": 3, 7: True})


def test_single_values(tmp_path):
    same(around(minigrad.arange(3), tmp_path), minigrad.arange(3))
    for value in (None, 3, "text", [], (), [None]):
        same(around(value, tmp_path), value)


def test_a_loaders_state_travels(tmp_path):
    loader = minigrad.utils.data.DataLoader(range(10), shuffle=True, generator=minigrad.Generator().manual_seed(1))
    next(iter(loader))
    same(around(loader.state_dict(), tmp_path), loader.state_dict())


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"a": [1, {"f": print}]}, r"obj\['a'\]\[1\]\['f'\] is a builtin_function_or_method"),
        ({"s": {1, 2}}, r"obj\['s'\] is a set"),
        ({"b": b"raw"}, r"obj\['b'\] is a bytes"),
        ({"c": np.zeros(2, dtype=complex)}, r"obj\['c'\] is an array of dtype complex128"),
        ({"c": np.array(["text"])}, r"obj\['c'\] is an array of dtype <U4"),
        ({frozenset(): 1}, r"has the key frozenset\(\)"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, obj, message):
    path = tmp_path / "f"
    path.write_bytes(b"before")
    with pytest.raises(TypeError, match=message):
        minigrad.save(obj, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["f"]


def test_a_module_is_told_to_give_its_state(tmp_path):
    with pytest.raises(TypeError, match=r"obj is a Linear.*save its state_dict\(\) instead"):
        minigrad.save(minigrad.nn.Linear(2, 2), tmp_path / "f")


def test_an_object_that_contains_itself(tmp_path):
    obj = {"a": []}
    obj["a"].append(obj)
    with pytest.raises(ValueError, match=r"obj\['a'\]\[0\] contains itself"):
        minigrad.save(obj, tmp_path / "f")
    shared = [1]
    same(around([shared, shared], tmp_path), [[1], [1]])


# --- writing


def test_the_old_file_stands_until_the_new_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "f"
    minigrad.save({"a": minigrad.ones(3)}, path)
    seen = []

    def failing(source, target):
        seen.append(dict(minigrad.load(path)))
        assert minigrad.load(source)["a"].tolist() == [2, 2]  # whole, before it takes the place
        raise OSError("no more")

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no more"):
        minigrad.save({"a": minigrad.ones(2) * 2}, path)
    assert len(seen) == 1
    assert os.listdir(tmp_path) == ["f"]
    assert minigrad.load(path)["a"].tolist() == [1, 1, 1]


def test_bytes_are_on_the_disk_before_the_file_takes_its_place(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), real_sync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), real_replace(a, b))[1])
    minigrad.save({"a": minigrad.ones(3)}, tmp_path / "f")
    assert calls[:2] == ["sync", "replace"]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(fd):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        minigrad.save({"a": minigrad.ones(3)}, tmp_path / "f")
    assert os.listdir(tmp_path) == []


def test_a_new_file_has_the_usual_rights(tmp_path):
    minigrad.save({}, tmp_path / "f")
    (tmp_path / "plain").write_bytes(b"")
    rights = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("f", "plain")]
    assert rights[0] == rights[1]


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "f")
    minigrad.save({"a": minigrad.ones(1)}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert list(minigrad.load(tmp_path / "real" / "f")) == ["a"]


def test_places_that_cannot_be_written(tmp_path):
    class Costly(dict):
        def items(self):
            raise AssertionError("the work began before the place was tried")

    with pytest.raises(FileNotFoundError, match=r"the folder '.*absent' does not exist; make it"):
        minigrad.save(Costly(), tmp_path / "absent" / "f")
    with pytest.raises(IsADirectoryError, match=r"is a folder; give the name of a file"):
        minigrad.save(Costly(), tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"cannot write into '.*file'"):
        minigrad.save(Costly(), tmp_path / "file" / "f")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="cannot write into"):
            minigrad.save({}, tmp_path / "f")
    finally:
        tmp_path.chmod(0o700)


# --- reading


def test_map_location(tmp_path):
    minigrad.save({"a": minigrad.ones(2)}, tmp_path / "f")
    for where in (None, "cpu", minigrad.device("cpu")):
        assert minigrad.load(tmp_path / "f", map_location=where)["a"].device == minigrad.device("cpu")
    assert list(minigrad.load(str(tmp_path / "f"), "cpu", weights_only=True)) == ["a"]
    with pytest.raises(TypeError, match="map_location is a function"):
        minigrad.load(tmp_path / "f", map_location=lambda storage, place: storage)
    with pytest.raises(RuntimeError, match="'gpu' is not a device"):
        minigrad.load(tmp_path / "f", map_location="gpu")


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_are_refused_and_not_run(tmp_path):
    harm = str(tmp_path / "harm")
    for protocol in (2, 4, 5):
        (tmp_path / "old.pt").write_bytes(pickle.dumps(Harm(harm), protocol=protocol))
        with pytest.raises(ValueError, match=r"old.pt' is a pickle[\s\S]*safetensors.torch.save_file\(state"):
            minigrad.load(tmp_path / "old.pt")
    with zipfile.ZipFile(tmp_path / "new.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Harm(harm)))
    with pytest.raises(RuntimeError, match=r"new.pt' is a pickle"):
        minigrad.load(tmp_path / "new.pt")
    (tmp_path / "text").write_bytes(pickle.dumps(Harm(harm), protocol=0))
    with pytest.raises(ValueError, match=r"text' .* is damaged, cut short, or not a safetensors file"):
        minigrad.load(tmp_path / "text")
    with pytest.raises(ValueError, match="weights_only=False would unpickle"):
        minigrad.load(tmp_path / "text", weights_only=False)
    assert not os.path.exists(harm)


def test_a_file_of_torch_save_is_refused_with_advice(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.zeros(2)}, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"torch.load\('.*m.pt', weights_only=True\)"):
        minigrad.load(tmp_path / "m.pt")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*absent'"):
        minigrad.load(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        minigrad.load(tmp_path)


def test_a_truncated_file_is_always_noticed(tmp_path):
    path = tmp_path / "f"
    minigrad.save({"a": minigrad.arange(50), "b": [minigrad.ones(3)]}, path)
    whole = path.read_bytes()
    for length in {*range(0, 40), *range(40, len(whole), 17), len(whole) - 1}:
        path.write_bytes(whole[:length])
        with pytest.raises(serialization.SerializationError, match=r"f' \(\d+ bytes\) is damaged"):
            minigrad.load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(serialization.SerializationError, match="is damaged"):
        minigrad.load(path)


@given(place=st.integers(0, 400), value=st.integers(0, 255))
@settings(deadline=None, max_examples=150)
def test_a_changed_byte_gives_an_error_or_other_numbers(place, value):
    """Never anything else: no crash, no other exception."""
    file = io.BytesIO()
    minigrad.save({"a": minigrad.arange(20), "b": [{"c": minigrad.ones(3), "d": (1, None)}]}, file)
    raw = bytearray(file.getvalue())
    raw[place % len(raw)] = value
    with contextlib.suppress(serialization.SerializationError):
        minigrad.load(io.BytesIO(bytes(raw)))


def tampered(structure, tmp_path):
    from safetensors.numpy import save_file

    text = structure if isinstance(structure, str) else json.dumps(structure)
    save_file({"a": np.zeros(2)}, tmp_path / "f", metadata={"minigrad": text})
    return minigrad.load(tmp_path / "f")


@pytest.mark.parametrize(
    "structure",
    [
        "not json",
        "[]",
        {"version": 1},
        {"version": "x", "root": 1},
        {"version": 1, "root": {"tensor": "absent"}},
        {"version": 1, "root": {"tensor": ["a"]}},
        {"version": 1, "root": {"function": "print"}},
        {"version": 1, "root": {"tensor": "a", "list": []}},
        {"version": 1, "root": {}},
        {"version": 1, "root": [1]},
        {"version": 1, "root": {"dict": [[{"list": []}, 1]]}},
        {"version": 1, "root": {"dict": [[1]]}},
        {"version": 1, "root": {"list": 3}},
        '{"version": 1, "root": ' + '{"list": [' * 5000 + "]}" * 5000 + "}",
    ],
)
def test_a_tampered_header_is_told(structure, tmp_path):
    with pytest.raises(serialization.SerializationError, match=r"header of '.*f' does not fit its tensors"):
        tampered(structure, tmp_path)


def test_a_newer_version_is_told(tmp_path):
    with pytest.raises(serialization.SerializationError, match="written by a newer minigrad"):
        tampered({"version": 2, "root": None}, tmp_path)


def test_tensors_added_by_others_are_kept(tmp_path):
    from safetensors.numpy import save_file

    arrays = {"a": np.zeros(1), "b": np.ones(1), "c": np.ones(2)}
    save_file(arrays, tmp_path / "f", metadata={"minigrad.order": json.dumps(["c", "gone", "a"])})
    assert list(minigrad.load(tmp_path / "f")) == ["c", "a", "b"]
