"""Data sets of one's own images, a folder a class, and of noise."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad.datasets import FakeData, ImageFolder, VisionDataset
from minigrad.datasets import folder as folder_module
from minigrad.datasets.vision import StandardTransform
from minigrad.transforms import ToTensor
from minigrad.utils.data import DataLoader


@pytest.fixture
def folder(tmp_path):
    """Two dogs, one deeper than the other, and a cat; each image is of one colour."""
    for path, colour in (("dog/b.png", 10), ("dog/more/a.PNG", 20), ("cat/only.jpg", 30)):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L" if colour == 10 else "RGB", (4, 3), colour if colour == 10 else (colour,) * 3).save(file)
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / "readme.md").write_text("not a class")
    return tmp_path


def test_folders_are_classes_in_the_order_of_their_names(folder):
    data = ImageFolder(folder, transform=ToTensor(), target_transform=lambda label: -label)
    assert data.classes == ["cat", "dog"]
    assert data.class_to_idx == {"cat": 0, "dog": 1}
    assert [(path.replace(str(folder), ""), label) for path, label in data.samples] == [
        ("/cat/only.jpg", 0),
        ("/dog/b.png", 1),
        ("/dog/more/a.PNG", 1),
    ]
    assert data.targets == [0, 1, 1]
    assert data.imgs is data.samples
    image, label = data[2]
    assert (image.shape, label) == ((3, 3, 4), -1)
    np.testing.assert_allclose(data[1][0].numpy(), 10 / 255, rtol=1e-6)  # grey files become RGB
    (images, labels), *_ = DataLoader(data, batch_size=3)
    assert images.shape == (3, 3, 3, 4)
    assert labels.tolist() == [0, -1, -1]


def test_which_files_count_can_be_chosen(folder):
    def text(path):
        return path.endswith(".txt")

    with pytest.raises(FileNotFoundError, match=r"no image for the classes cat in .*"):
        ImageFolder(folder, is_valid_file=text)
    data = ImageFolder(folder, is_valid_file=text, allow_empty=True, loader=lambda path: Path(path).read_text())
    assert [data[i] for i in range(len(data))] == [("not an image", 1)]


def test_what_is_missing_is_named(folder):
    (folder / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no image for the classes bird in .*; files must end in \.jpg"):
        ImageFolder(folder)
    with pytest.raises(FileNotFoundError, match=r"no folder in .*bird.*; expected one for each class"):
        ImageFolder(folder / "bird")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        ImageFolder(folder / "nowhere")


def test_a_damaged_file_is_named(folder):
    whole = (folder / "dog/more/a.PNG").read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2], whole[:40] + bytes(9) + whole[49:]):
        (folder / "dog/b.png").write_bytes(content)
        with pytest.raises(OSError, match=r"dog/b\.png is damaged or no image"):
            ImageFolder(folder)[1]
    data = ImageFolder(folder)
    (folder / "cat/only.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"cat/only\.jpg"):
        data[0]


def test_a_loader_of_ones_own_has_the_file_named_too(folder):
    def loader(path):
        raise KeyError("colour")

    with pytest.raises(KeyError) as caught:
        ImageFolder(folder, loader=loader)[0]
    assert caught.value.__notes__ == [f"Raised by the loader of ImageFolder for {folder}/cat/only.jpg."]


def test_no_image_is_given_to_another_program(folder, monkeypatch):
    """Encapsulated PostScript under a picture's name: PIL would start Ghostscript."""
    (folder / "dog/b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    with pytest.raises(OSError, match=r"b\.png is damaged or no image \(UnidentifiedImageError"):
        ImageFolder(folder)[1]


def test_an_image_that_unpacks_to_gigabytes_is_named(folder):
    black = zlib.compress(bytes(10_000))
    size = struct.pack(">II", 60_000, 60_000)
    chunks = [(b"IHDR", size + bytes([8, 2, 0, 0, 0])), (b"IDAT", black), (b"IEND", b"")]
    png = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (folder / "dog/b.png").write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    with pytest.raises(OSError, match=r"b\.png is damaged or no image \(DecompressionBombError"):
        ImageFolder(folder)[1]


def test_links_are_followed_once(folder):
    (folder / "dog/again").symlink_to(folder / "dog")
    (folder / "dog/more/up").symlink_to(folder, target_is_directory=True)
    (folder / "dog/itself.png").symlink_to(folder / "dog/itself.png")
    (folder / "wolf").symlink_to(folder / "dog")
    (folder / "dog/more/link.png").symlink_to(folder / "dog/b.png")
    data = ImageFolder(folder)
    assert data.classes == ["cat", "dog", "wolf"]
    names = [path.replace(f"{folder}/", "") for path, label in data.samples if label == 1]
    assert {name for name in names if "more/up" not in name} == {
        "dog/b.png",
        "dog/itself.png",
        "dog/more/a.PNG",
        "dog/more/link.png",
    }
    with pytest.raises(OSError, match=r"itself\.png is damaged or no image"):
        data[data.samples.index((f"{folder}/dog/itself.png", 1))]


def test_a_pipe_is_named_and_not_waited_for(folder):
    os.mkfifo(folder / "cat/pipe")  # not an image by its name
    assert len(ImageFolder(folder)) == 3
    os.mkfifo(folder / "cat/pipe.png")
    with pytest.raises(OSError, match=r"cat/pipe\.png is neither a file nor a folder"):
        ImageFolder(folder)


def test_a_thousand_classes_are_indexed_in_one_pass(tmp_path, monkeypatch):
    for i in range(1000):
        (tmp_path / f"{i:03}").mkdir()
        (tmp_path / f"{i:03}/x.png").touch()
    gathered = []

    def counting(items=()):
        gathered.extend(items)
        return set(items)

    monkeypatch.setattr(folder_module, "set", counting, raising=False)
    assert ImageFolder(tmp_path).targets == list(range(1000))
    assert len(gathered) <= 1000


def test_subclasses_get_their_transforms_in_either_form(tmp_path):
    class Mine(VisionDataset):
        def __getitem__(self, index):
            return (index, -index) if self.transforms is None else self.transforms(index, -index)

        def __len__(self):
            return 3

    assert Mine(tmp_path)[2] == (2, -2)
    assert Mine(tmp_path, transform=str)[2] == ("2", -2)
    assert Mine(tmp_path, target_transform=str)[2] == (2, "-2")
    data = Mine(tmp_path, transform=float, target_transform=str)
    assert data[2] == (2.0, "-2")
    assert isinstance(data.transforms, StandardTransform)
    data.transform = abs  # what is set later counts
    assert data[1] == (1, "-1")
    assert Mine(tmp_path, transforms=lambda x, y: (y, x))[2] == (-2, 2)
    assert Mine(tmp_path, transforms=StandardTransform(target_transform=abs))[2] == (2, 2)
    for separate in ({"transform": str}, {"target_transform": str}):
        with pytest.raises(ValueError, match="transforms excludes"):
            Mine(tmp_path, transforms=max, **separate)
    assert repr(data).splitlines()[-3:] == [
        "    StandardTransform",
        "    Transform: <built-in function abs>",
        "    Target transform: <class 'str'>",
    ]


def test_fake_data_is_noise_that_stays_the_same():
    data = FakeData(size=20, image_size=(3, 5, 4), num_classes=4, transform=ToTensor())
    assert len(data) == 20
    image, label = data[7]
    assert image.shape == (3, 5, 4)
    assert isinstance(label, int)
    np.testing.assert_array_equal(data[7][0].numpy(), image.numpy())
    np.testing.assert_array_equal(data[-13][0].numpy(), image.numpy())
    assert (data[8][0] != image).any()
    assert {data[i][1] for i in range(20)} == {0, 1, 2, 3}
    assert (FakeData(size=20, image_size=(3, 5, 4), transform=ToTensor(), random_offset=1)[7][0] != image).any()
    assert FakeData(image_size=(1, 5, 4))[0][0].mode == "L"
    assert "Number of datapoints: 20" in repr(data)


def test_fake_data_refuses_what_makes_no_image():
    with pytest.raises(IndexError, match="index 3 is out of range for 3 images"):
        FakeData(size=3)[3]
    with pytest.raises(ValueError, match=r"image_size must be .*, got \(2, 4, 4\)"):
        FakeData(image_size=(2, 4, 4))
    with pytest.raises(ValueError, match="num_classes = 0"):
        FakeData(num_classes=0)
