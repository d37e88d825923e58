"""CIFAR-10 and CIFAR-100 from small files made here: binary, pickled, complete and damaged."""

import contextlib
import pickle
import shutil
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from minigrad.datasets import CIFAR10, CIFAR100
from minigrad.transforms import ToTensor


class Py2Pickler(pickle._Pickler):
    """Writes as Python 2 did: text and bytes as the same kind of string, NumPy under its old name."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode("latin-1") if isinstance(value, str) else value
        self.write(b"T" + len(raw).to_bytes(4, "little") + raw)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, value, name=None):
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{value.__qualname__}\n".encode())
        self.memoize(value)

    dispatch[type] = save_global


def write_py2(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        Py2Pickler(file, protocol=2).dump(content)


def samples(n, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 3072), dtype=np.uint8), rng.integers(0, classes, n, dtype=np.uint8)


NAMES10 = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def write10(folder, kind, n=3):
    """Six batches of CIFAR-10; returns the pixels and labels of the training set."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [samples(n, seed=i) for i in range(6)]
    for name, (pixels, labels) in zip(NAMES10, parts, strict=True):
        if kind == "bin":
            (folder / f"{name}.bin").write_bytes(np.concatenate([labels[:, None], pixels], 1).tobytes())
        else:
            batch = {
                "batch_label": "b",
                "labels": labels.tolist(),
                "data": pixels,
                "filenames": ["a.png"] * n,
            }
            write_py2(folder / name, batch)
    return np.concatenate([p for p, _ in parts[:5]]), np.concatenate([y for _, y in parts[:5]])


def write100(folder, kind, n=5):
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for seed, name in enumerate(("train", "test")):
        pixels, fine = samples(n, 100, seed)
        coarse = fine // 5
        made[name] = pixels, fine
        if kind == "bin":
            raw = np.concatenate([coarse[:, None], fine[:, None], pixels], 1).tobytes()
            (folder / f"{name}.bin").write_bytes(raw)
        else:
            batch = {"fine_labels": fine.tolist(), "coarse_labels": coarse.tolist(), "data": pixels}
            write_py2(folder / name, batch)
    return made["train"]


def check(data, pixels, labels):
    assert len(data) == len(pixels)
    assert data.targets == labels.tolist()
    assert all(type(label) is int for label in data.targets)
    assert data.data.shape == (len(pixels), 32, 32, 3)
    assert data.data.dtype == np.uint8
    np.testing.assert_array_equal(data.data, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    img, label = data[1]
    assert isinstance(img, Image.Image)
    assert (img.mode, img.size, type(label), label) == ("RGB", (32, 32), int, labels[1])
    assert img.getpixel((5, 2)) == tuple(pixels[1].reshape(3, 32, 32)[:, 2, 5])


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("cifar-10-batches-bin", "bin"), ("cifar-10-batches-py", "py"), (".", "bin"), (".", "py")],
)
def test_cifar10_layouts(tmp_path, folder, kind):
    pixels, labels = write10(tmp_path / folder, kind)
    check(CIFAR10(tmp_path), pixels, labels)
    assert len(CIFAR10(tmp_path, train=False)) == 3


@pytest.mark.parametrize(
    ("folder", "kind"), [("cifar-100-binary", "bin"), ("cifar-100-python", "py"), (".", "bin"), (".", "py")]
)
def test_cifar100_layouts(tmp_path, folder, kind):
    pixels, labels = write100(tmp_path / folder, kind)
    check(CIFAR100(tmp_path), pixels, labels)
    assert len(CIFAR100(tmp_path, train=False)) == 5


def test_the_binary_version_comes_first(tmp_path):
    write10(tmp_path / "cifar-10-batches-py", "py", n=2)
    write10(tmp_path / "cifar-10-batches-bin", "bin", n=4)
    assert len(CIFAR10(tmp_path)) == 20


def test_names_and_transforms(tmp_path):
    pixels, labels = write100(tmp_path, "bin")
    data = CIFAR100(tmp_path, transform=ToTensor(), target_transform=str)
    x, y = data[0]
    np.testing.assert_array_equal(x.numpy(), pixels[0].reshape(3, 32, 32) / np.float32(255))
    assert y == str(labels[0])
    assert len(data.classes) == len(set(data.classes)) == 100
    assert [data.classes[i] for i in (0, 33, 50, 99)] == ["apple", "forest", "mouse", "worm"]
    assert data.class_to_idx["forest"] == 33
    assert CIFAR10.classes[3] == "cat"
    assert repr(data).startswith("Dataset CIFAR100\n    Number of datapoints: 5\n")


def test_missing_data_is_told(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        CIFAR10(tmp_path)
    message = str(caught.value)
    for part in (
        str(tmp_path),
        "download=True",
        "cifar-10-binary.tar.gz",
        "cifar-10-batches-bin/",
        "toronto",
    ):
        assert part in message


def test_an_incomplete_folder_is_told(tmp_path):
    write10(tmp_path, "bin")
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(RuntimeError, match=r"incomplete, data_batch_3.bin not there"):
        CIFAR10(tmp_path)
    assert len(CIFAR10(tmp_path, train=False)) == 3


@pytest.mark.parametrize("size", [0, 3073, 3 * 3074 - 1, 3 * 3074 + 1])
def test_truncated_binary_files_are_told(tmp_path, size):
    write100(tmp_path, "bin")
    (tmp_path / "train.bin").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=rf"train.bin has {size} bytes.*records of 3074 bytes"):
        CIFAR100(tmp_path)


def test_labels_out_of_range_are_told(tmp_path):
    write10(tmp_path, "bin")
    (tmp_path / "data_batch_2.bin").write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match=r"data_batch_2.bin has a label 10, expected 0 to 9"):
        CIFAR10(tmp_path)
    write100(tmp_path / "h", "py")
    write_py2(tmp_path / "h/train", {"fine_labels": [-1], "data": np.zeros((1, 3072), np.uint8)})
    with pytest.raises(ValueError, match="has a label -1, expected 0 to 99"):
        CIFAR100(tmp_path / "h")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [1]}, "no 'data' of shape"),
        ({"labels": [1], "data": np.zeros((1, 100), np.uint8)}, "no 'data' of shape"),
        (
            {"labels": [1, 2], "data": np.zeros((1, 3072), np.uint8)},
            "no 'labels' with one whole number for each",
        ),
        ({"labels": ["1"], "data": np.zeros((1, 3072), np.uint8)}, "no 'labels' with one whole number"),
        ({"data": np.zeros((1, 3072), np.uint8)}, "no 'labels'"),
        ([1, 2], "holds a list"),
    ],
)
def test_strange_pickled_batches_are_told(tmp_path, content, message):
    write10(tmp_path, "py")
    write_py2(tmp_path / "data_batch_1", content)
    with pytest.raises(ValueError, match=message):
        CIFAR10(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 10, 200, -1])
def test_truncated_pickles_are_told(tmp_path, cut):
    write10(tmp_path, "py")
    path = tmp_path / "data_batch_4"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"data_batch_4 is damaged"):
        CIFAR10(tmp_path)


# --- pickles that mean harm


class Harm:
    """Unpickled without care, this makes a folder (or calls whatever else it is given)."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def attacks(target):
    import os

    data = np.zeros((1, 3072), np.uint8)
    yield "os.mkdir", Harm(os.mkdir, str(target))
    yield "os.system", {"data": data, "labels": [Harm(os.system, f"mkdir {target}")]}
    yield "eval", {Harm(eval, f"__import__('os').mkdir({str(target)!r})"): data}
    yield "exec in a list", {"data": [Harm(exec, f"import os; os.mkdir({str(target)!r})")], "labels": [0]}
    yield "getattr", Harm(getattr, "text", "format")
    yield "object array", {"data": np.array([Harm(os.mkdir, str(target))], dtype=object), "labels": [0]}
    yield "other dtype", {"data": np.zeros((1, 3072)), "labels": [0]}
    yield "numpy function", Harm(np.load, str(target))
    yield "subclass", {"data": np.zeros((1, 3072), np.uint8).view(np.recarray), "labels": [0]}


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_in_a_pickle_is_run(tmp_path, number, protocol):
    target = tmp_path / "harm"
    _, content = list(attacks(target))[number]
    write10(tmp_path, "py")
    raw = pickle.dumps(content, protocol=protocol)
    (tmp_path / "data_batch_1").write_bytes(raw)
    with pytest.raises(ValueError, match=r"data_batch_1 (is refused|is damaged|holds|has no)"):
        CIFAR10(tmp_path)
    assert not target.exists()


def test_the_attacks_would_work(tmp_path):
    """The test above is no empty one: Python's own reader does run them."""
    for i in range(4):
        target = tmp_path / "harm"
        raw = pickle.dumps(list(attacks(target))[i][1])
        with contextlib.suppress(TypeError):
            pickle.loads(raw)
        assert target.exists()
        shutil.rmtree(target)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"cnumpy\nndarray.__new__\n.", "numpy.ndarray.__new__"),
        (b"c__builtin__\neval\n.", "__builtin__.eval"),
        (b"S'x'\nQ.", "an object stored elsewhere"),
        (b"cnumpy\ndtype\n(S'O8'\ntR.", "dtype"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.", "a reconstruction of"),
    ],
)
def test_what_a_pickle_asks_for_is_named(tmp_path, code, name):
    write10(tmp_path, "py")
    (tmp_path / "data_batch_1").write_bytes(code)
    with pytest.raises(ValueError, match=rf"data_batch_1 is refused.*{name}.*Nothing was run"):
        CIFAR10(tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        b"cnumpy\ndtype\n(NK\x00}S'__call__'\nI1\nstb.",  # set an attribute of a permitted name
        b"cnumpy\ndtype\n}S'__call__'\nI1\nsb.",
        b"cnumpy\nndarray\n)\x81.",  # make an instance of one
        b"cnumpy\nndarray\n)R.",
    ],
)
def test_permitted_names_cannot_be_misused(tmp_path, code):
    write10(tmp_path, "py")
    good = (tmp_path / "data_batch_1").read_bytes()
    (tmp_path / "data_batch_1").write_bytes(code)
    with pytest.raises(ValueError, match="data_batch_1"):
        CIFAR10(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(good)
    assert len(CIFAR10(tmp_path)) == 15


DEEP = 100_000


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (b"(" * DEEP + b"t" * DEEP + b".", "more than 100 lists, tuples and dicts"),
        (b"}(" + b"(" * DEEP + b"t" * DEEP + b"I1\nu.", "more than 100"),  # as a key, which is hashed
        (b"}" + b")" + b"\x85" * DEEP + b"I1\ns.", "more than 100"),
        (b"]" + b"q\x00]h\x00a" * DEEP + b".", "more than 100"),
        (b"](" + b"(d" * DEEP + b"e.", "more than 100"),
        (b"]r" + (2**28).to_bytes(4, "little") + b".", "a memo of 268435456 entries after 1 instructions"),
        (b"]p268435456\n.", "a memo of 268435456 entries"),
        (b"]q\xff.", "a memo of 255 entries"),
    ],
)
def test_a_small_pickle_takes_neither_stack_nor_memory(tmp_path, code, problem):
    write10(tmp_path, "py")
    (tmp_path / "data_batch_1").write_bytes(code)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=rf"data_batch_1 is refused: as a pickle it asks for {problem}"):
            CIFAR10(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["bin", "py"])
def test_a_file_of_gigabytes_is_told(tmp_path, kind):
    write10(tmp_path, kind)
    path = tmp_path / ("data_batch_2" if kind == "py" else "data_batch_2.bin")
    with open(path, "r+b") as file:
        file.truncate(1 << 40)  # takes no space on the disk
    with pytest.raises(ValueError, match=r"data_batch_2\S* holds 1099511627776 bytes, more than the"):
        CIFAR10(tmp_path)


def test_labels_that_fit_into_no_array_are_told(tmp_path):
    write10(tmp_path, "py")
    write_py2(tmp_path / "data_batch_1", {"labels": [2**80], "data": np.zeros((1, 3072), np.uint8)})
    with pytest.raises(ValueError, match="data_batch_1 has a label that is no number of a class"):
        CIFAR10(tmp_path)
