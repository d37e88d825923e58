"""Images on one canvas, worked out by hand, and the files made of them."""

import io

import numpy as np
import pytest
from PIL import Image

import minigrad
from minigrad.utils import make_grid, save_image


def test_images_stand_in_rows_within_a_frame():
    images = minigrad.arange(5 * 3 * 2 * 4).reshape(5, 3, 2, 4).float()
    grid = make_grid(images, nrow=3, padding=1, pad_value=-1)
    assert grid.shape == (3, 2 * 3 + 1, 3 * 5 + 1)
    expected = np.full(grid.shape, -1.0)
    for k in range(5):
        top, left = k // 3 * 3 + 1, k % 3 * 5 + 1
        expected[:, top : top + 2, left : left + 4] = images[k].numpy()
    np.testing.assert_array_equal(grid.numpy(), expected)
    assert make_grid(images, padding=0).shape == (3, 2, 20)  # fewer than nrow: one row of five


def test_what_counts_as_images():
    image = minigrad.rand(3, 4, 5)
    np.testing.assert_array_equal(make_grid(image).numpy(), image.numpy())  # one image: no frame
    grey = minigrad.rand(4, 5)
    for one in (grey, grey[None], grey[None, None]):
        np.testing.assert_array_equal(make_grid(one).numpy(), np.stack([grey.numpy()] * 3))
    several = [minigrad.rand(1, 4, 5) for _ in range(3)]
    np.testing.assert_array_equal(make_grid(several).numpy(), make_grid(minigrad.stack(several)).numpy())


def test_values_are_stretched_over_all_images_or_each():
    images = minigrad.tensor([[0.0, 2.0], [4.0, 8.0]]).reshape(2, 1, 1, 2)
    options = {"padding": 0, "normalize": True}
    np.testing.assert_allclose(make_grid(images, **options)[0].numpy(), [[0, 0.25, 0.5, 1]])
    np.testing.assert_allclose(make_grid(images, **options, scale_each=True)[0].numpy(), [[0, 1, 0, 1]])
    np.testing.assert_allclose(make_grid(images, **options, value_range=(2, 4))[0].numpy(), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(make_grid(minigrad.full((2, 1, 1, 1), 3.0), **options).numpy(), 0)
    tiny = make_grid(minigrad.tensor([0.0, 1e-6]).reshape(2, 1, 1, 1), **options)  # divided by 10⁻⁵ at least
    np.testing.assert_allclose(tiny[0].numpy(), [[0, 0.1]], rtol=1e-6)
    np.testing.assert_array_equal(images.reshape(-1).numpy(), [0, 2, 4, 8])  # the argument is left alone


def test_a_file_holds_rounded_and_clipped_bytes(tmp_path):
    values = minigrad.tensor([[-1.0, 0.0, 0.5], [1.0, 3.0, 100 / 255]], requires_grad=True)
    save_image(values, tmp_path / "grey.png")
    with Image.open(tmp_path / "grey.png") as image:
        pixels = np.asarray(image)
    np.testing.assert_array_equal(pixels, np.stack([[[0, 0, 128], [255, 255, 100]]] * 3, -1))
    buffer = io.BytesIO()
    save_image(minigrad.rand(4, 3, 5, 6), buffer, format="png", nrow=2, padding=1)
    with Image.open(buffer) as image:
        assert image.size == (15, 13)
    assert save_image is minigrad.utils.save_image


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64", "bool", "float16", "float64"])
def test_no_dtype_wraps_round(tmp_path, dtype):
    values = np.array([[0, 1, 2], [100, 127, 1]]).astype(dtype)
    save_image(minigrad.tensor(values), tmp_path / "image.png")
    with Image.open(tmp_path / "image.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[..., 0], np.minimum(values.astype(int), 1) * 255)
    if dtype in ("float16", "float64"):
        save_image(minigrad.tensor([[float("nan"), float("inf"), -float("inf")]]), tmp_path / "image.png")
        with Image.open(tmp_path / "image.png") as image:
            assert np.asarray(image)[0, :, 0].tolist() == [0, 255, 0]


def test_integers_are_stretched_over_their_whole_span():
    images = minigrad.tensor([-128, 127, 0, 64], dtype=minigrad.int8).reshape(4, 1, 1, 1)
    grid = make_grid(images, padding=0, normalize=True)[0, 0]
    np.testing.assert_allclose(grid.numpy(), (np.array([-128, 127, 0, 64]) + 128) / 255, rtol=1e-6)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(TypeError, match="tensor is a ndarray; expected a Tensor or a list"):
        make_grid(np.zeros((2, 3, 4, 4)))
    with pytest.raises(TypeError, match="tensor is a list"):
        make_grid([])
    with pytest.raises(ValueError, match=r"shape \(5,\); expected \(N, C, H, W\)"):
        make_grid(minigrad.zeros(5))
    with pytest.raises(ValueError, match=r"shape \(0, 3, 4, 4\).*not empty"):
        make_grid(minigrad.zeros(0, 3, 4, 4))
    with pytest.raises(ValueError, match="nrow must be a positive integer, got 0"):
        make_grid(minigrad.zeros(2, 3, 4, 4), nrow=0)
    with pytest.raises(ValueError, match=r"value_range must be a pair .*, got 3"):
        make_grid(minigrad.zeros(2, 3, 4, 4), normalize=True, value_range=3)
    with pytest.raises(ValueError, match="unknown file extension"):
        save_image(minigrad.zeros(3, 4, 4), tmp_path / "picture.nothing")
