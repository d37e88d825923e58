"""MNIST and Fashion-MNIST from small files made here, in every layout that is read."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

import minigrad
from minigrad.datasets import MNIST, FashionMNIST, VisionDataset
from minigrad.transforms import ToTensor
from minigrad.utils.data import DataLoader


def idx(array, kind=8):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def write(root, name="MNIST", n=(6, 4), packed=False, **changes):
    """Files of a small data set; `changes` replaces the content of one by its name."""
    rng = np.random.default_rng(0)
    raw = root / name / "raw"
    raw.mkdir(parents=True)
    made = {}
    for split, count in zip(("train", "t10k"), n, strict=True):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        made[split] = images, labels
        for part, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = changes.get(f"{split}_{part[:6]}", idx(array))
            path = raw / f"{split}-{part}-ubyte"
            if packed:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
            else:
                path.write_bytes(content)
    return made


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("cls", "name"), [(MNIST, "MNIST"), (FashionMNIST, "FashionMNIST")])
def test_both_splits_are_read(tmp_path, cls, name, packed):
    made = write(tmp_path, name, packed=packed)
    for train, split in ((True, "train"), (False, "t10k")):
        data = cls(tmp_path, train=train)
        images, labels = made[split]
        assert len(data) == len(images)
        assert data.data.dtype == minigrad.uint8
        assert data.targets.dtype == minigrad.int64
        np.testing.assert_array_equal(data.data.numpy(), images)
        np.testing.assert_array_equal(data.targets.numpy(), labels)
        img, target = data[2]
        assert (img.mode, img.size, type(target), target) == ("L", (28, 28), int, labels[2])
        np.testing.assert_array_equal(np.asarray(img), images[2])


def test_the_data_may_be_changed(tmp_path):
    write(tmp_path, packed=True)
    data = MNIST(tmp_path)
    data.data.add_(1)


def test_transforms_and_batches(tmp_path):
    images, labels = write(tmp_path)["train"]
    data = MNIST(tmp_path, transform=ToTensor(), target_transform=lambda label: label + 10)
    (x, y), *_ = DataLoader(data, batch_size=3)
    assert x.shape == (3, 1, 28, 28)
    np.testing.assert_array_equal(x.numpy()[:, 0], images[:3] / np.float32(255))
    assert y.tolist() == (labels[:3].astype(int) + 10).tolist()


def test_names(tmp_path):
    write(tmp_path)
    data = MNIST(tmp_path, transform=ToTensor())
    assert data.classes[3] == "3 - three"
    assert data.class_to_idx["9 - nine"] == 9
    assert isinstance(data, VisionDataset)
    assert repr(data) == (
        f"Dataset MNIST\n    Number of datapoints: 6\n    Root location: {tmp_path}\n    Split: Train\n"
        "    StandardTransform\n    Transform: ToTensor()"
    )


def test_missing_files_are_told(tmp_path):
    with pytest.raises(RuntimeError) as caught:
        MNIST(tmp_path)
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz" in message
    assert str(tmp_path / "MNIST" / "raw") in message
    assert "download=True" in message
    write(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    assert len(MNIST(tmp_path)) == 6
    with pytest.raises(RuntimeError, match=r"not found: t10k-labels-idx1-ubyte.gz \("):
        MNIST(tmp_path, train=False)


IMAGES = np.zeros((6, 28, 28), dtype=np.uint8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": idx(IMAGES)[:-5]}, r"images-idx3.* holds 4715 bytes, .* asks for 4720"),
        ({"train_images": idx(IMAGES) + b"x"}, r"holds 4721 bytes"),
        ({"train_images": idx(IMAGES)[:10]}, r"begins with 00 00 08 03, expected"),
        ({"train_images": b""}, "begins with nothing"),
        ({"train_images": idx(IMAGES, kind=9)}, r"begins with 00 00 09 03"),
        ({"train_images": idx(IMAGES[0])}, r"begins with 00 00 08 02, expected 00 00 08 03"),
        ({"train_labels": idx(np.zeros(5, dtype=np.uint8))}, r"has 6 images, but .* 5 labels"),
        ({"train_labels": idx(np.full(6, 10, dtype=np.uint8))}, r"labels.* has a label 10; expected 0 to 9"),
    ],
)
def test_damaged_files_are_told(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        MNIST(tmp_path)


@pytest.mark.parametrize("cut", [3, 15, 500])
def test_a_cut_archive_is_told(tmp_path, cut):
    write(tmp_path, packed=True)
    path = tmp_path / "MNIST/raw/train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.gz is damaged .*download=True"):
        MNIST(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_asks_for_gigabytes_is_told(tmp_path, packed):
    huge = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    write(tmp_path, packed=packed, train_images=huge + bytes(100))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.* asks in its header .*is not of this data set"):
        MNIST(tmp_path)


@pytest.mark.parametrize("images", [6, 0, 20_000])
def test_no_more_is_unpacked_than_the_header_asks_for(tmp_path, images):
    """30 kB of gzipped zeros stand for 32 MB; a header may ask for less of them or for none."""
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, images, 28, 28)
    write(tmp_path, packed=True, train_images=header + bytes(1 << 25))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"images-idx3-ubyte.gz holds more bytes, but its header .* asks for"):
            MNIST(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2_500_000 + 784 * images * 1.2
    finally:
        tracemalloc.stop()


def test_vision_dataset_refuses_both_kinds_of_transform(tmp_path):
    with pytest.raises(ValueError, match="transforms excludes"):
        VisionDataset(tmp_path, transforms=lambda x, y: (x, y), transform=ToTensor())
