"""Data sets of one's own images, a folder a class, and of noise."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad.datasets import FakeData, ImageFolder
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
