"""Padding, cropping, flipping, resizing: on PIL images and tensors alike, and the random ones' randomness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import minigrad
from minigrad import transforms
from minigrad.transforms import InterpolationMode
from minigrad.transforms import functional as F

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)  # (H, W, C)


def image():
    return Image.fromarray(PIXELS)


def channels_first(img):
    """The pixels of either kind of image as an array (C, H, W)."""
    return img.numpy() if isinstance(img, minigrad.Tensor) else np.asarray(img).transpose(2, 0, 1)


TENSOR = minigrad.tensor(PIXELS.transpose(2, 0, 1).copy())


def both(function):
    """The result of a geometric function, the same for a PIL image, a tensor and a batch."""
    ours = channels_first(function(image()))
    np.testing.assert_array_equal(function(TENSOR).numpy(), ours)
    batch = function(minigrad.stack([TENSOR, TENSOR.flip(-1)]))
    np.testing.assert_array_equal(batch.numpy()[0], ours)
    assert batch.dtype == TENSOR.dtype
    floats = function(TENSOR.to(minigrad.float64))
    np.testing.assert_array_equal(floats.numpy(), ours)
    return ours


SOURCE = PIXELS.transpose(2, 0, 1)


def test_flips():
    np.testing.assert_array_equal(both(F.hflip), SOURCE[:, :, ::-1])
    np.testing.assert_array_equal(both(F.vflip), SOURCE[:, ::-1])


@given(
    sides=st.tuples(*[st.integers(0, 4)] * 4),
    mode=st.sampled_from(["constant", "edge", "reflect", "symmetric"]),
    fill=st.integers(0, 255),
)
@settings(deadline=None, max_examples=40)
def test_pad_is_numpys(sides, mode, fill):
    left, top, right, bottom = sides
    options = {"constant_values": fill} if mode == "constant" else {}
    expected = np.pad(SOURCE, ((0, 0), (top, bottom), (left, right)), mode=mode, **options)
    np.testing.assert_array_equal(both(lambda img: F.pad(img, sides, fill, mode)), expected)


def test_pad_takes_one_two_or_four_numbers():
    assert both(transforms.Pad(2)).shape == (3, 10, 13)
    assert both(transforms.Pad([2])).shape == (3, 10, 13)
    assert both(transforms.Pad((1, 2))).shape == (3, 10, 11)
    assert both(transforms.Pad((1, 2, 3, 4))).shape == (3, 12, 13)


def test_pad_with_a_colour():
    padded = np.asarray(F.pad(image(), 1, fill=(1, 2, 3)))
    assert padded[0, 0].tolist() == [1, 2, 3]
    assert np.asarray(F.pad(Image.fromarray(PIXELS[:, :, 0]), 1, fill=7))[0, 0] == 7
    with pytest.raises(ValueError, match=r"fill = \(1, 2\) has 2 numbers, the image 3 bands"):
        F.pad(image(), 1, fill=(1, 2))
    with pytest.raises(TypeError, match=r"fill = \(1, 2, 3\) for a tensor"):
        F.pad(TENSOR, 1, fill=(1, 2, 3))


def test_pad_lets_gradients_through():
    x = minigrad.rand(1, 3, 3, requires_grad=True)
    y = F.pad(x, (1, 0, 0, 0), padding_mode="edge")
    g = minigrad.randn(1, 3, 4)
    y.backward(g)
    expected = g.numpy()[:, :, 1:].copy()
    expected[:, :, 0] += g.numpy()[:, :, 0]
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("padding", [(1, 2, 3), -1, (1, -1), 1.5, ()])
def test_pad_refuses(padding):
    with pytest.raises((ValueError, TypeError)):
        transforms.Pad(padding)
    with pytest.raises(ValueError, match="padding_mode = 'circular'; expected one of constant, edge"):
        transforms.Pad(1, padding_mode="circular")
    with pytest.raises(ValueError, match="'reflect' by 6 needs an image larger"):
        F.pad(TENSOR, 6, padding_mode="reflect")


@given(top=st.integers(-4, 8), left=st.integers(-4, 10), height=st.integers(1, 9), width=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_crop_is_a_window_with_zeros_outside(top, left, height, width):
    canvas = np.zeros((3, 40, 40), dtype=np.uint8)
    canvas[:, 15:21, 15:24] = SOURCE
    expected = canvas[:, 15 + top : 15 + top + height, 15 + left : 15 + left + width]
    np.testing.assert_array_equal(both(lambda img: F.crop(img, top, left, height, width)), expected)


@pytest.mark.parametrize("size", [1, 4, (5, 2), (6, 9), (8, 4), (4, 14), 20, [3]])
def test_center_crop_is_central(size):
    cropped = both(transforms.CenterCrop(size))
    height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
    assert cropped.shape == (3, height, width)
    canvas = np.zeros((3, 66, 69), dtype=np.uint8)
    canvas[:, 30:36, 30:39] = SOURCE
    near = [
        canvas[:, i : i + height, j : j + width]
        for i in {(66 - height) // 2, (67 - height) // 2}
        for j in {(69 - width) // 2, (70 - width) // 2}
    ]
    assert any(np.array_equal(cropped, window) for window in near)


@pytest.mark.parametrize("size", [0, -1, (1, 2, 3), "4", 2.5, None])
def test_sizes_are_checked(size):
    for make in (transforms.CenterCrop, transforms.RandomCrop, transforms.Resize):
        with pytest.raises((ValueError, TypeError), match=r"size = "):
            make(size)


@pytest.mark.parametrize("bad", [np.zeros((3, 4, 4)), "image", minigrad.zeros(4)])
def test_other_things_than_images_are_refused(bad):
    for function in (
        F.hflip,
        F.vflip,
        transforms.Pad(1),
        transforms.CenterCrop(2),
        transforms.RandomCrop(2),
        transforms.Resize(2),
        transforms.RandomHorizontalFlip(),
    ):
        with pytest.raises((TypeError, ValueError), match=r"the image (is a|has shape)"):
            function(bad)


# --- Resize


@pytest.mark.parametrize(
    ("current", "size", "max_size", "expected"),
    [
        ((6, 9), 12, None, (12, 18)),
        ((9, 6), 12, None, (18, 12)),
        ((6, 9), [3], None, (3, 4)),
        ((6, 9), (5, 7), None, (5, 7)),
        ((6, 9), 4, 5, (3, 5)),
        ((10, 10), 7, None, (7, 7)),
    ],
)
def test_resized_sizes(current, size, max_size, expected):
    x = minigrad.zeros(1, *current)
    assert transforms.Resize(size, max_size=max_size)(x).shape == (1, *expected)
    img = Image.new("L", current[::-1])
    assert transforms.Resize(size, max_size=max_size)(img).size == expected[::-1]


# Images one pixel wide are left out: PyTorch 2.13 with antialias repeats their first pixel.
@given(
    old=st.tuples(st.integers(1, 12), st.integers(2, 12)),
    new=st.tuples(st.integers(1, 14), st.integers(2, 14)),
    antialias=st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_bilinear_is_pytorchs(old, new, antialias):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).standard_normal((2, 3, *old))
    y = F.resize(minigrad.tensor(x), new, antialias=antialias)
    expected = torch.nn.functional.interpolate(
        torch.tensor(x), size=new, mode="bilinear", antialias=antialias, align_corners=False
    )
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-10, atol=1e-10)


@given(
    old=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    new=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
@settings(deadline=None, max_examples=40)
def test_nearest_is_pytorchs(old, new):
    torch = pytest.importorskip("torch")
    x = np.arange(np.prod(old), dtype=np.float32).reshape(1, 1, *old)
    for mode in (InterpolationMode.NEAREST, InterpolationMode.NEAREST_EXACT):
        y = F.resize(minigrad.tensor(x), new, mode)
        expected = torch.nn.functional.interpolate(torch.tensor(x), size=new, mode=mode.value)
        np.testing.assert_array_equal(y.numpy(), expected.numpy())


@pytest.mark.parametrize("size", [(3, 4), (12, 18), (5, 20), (24, 5)])
def test_tensors_and_pil_images_agree(size):
    """PIL rounds between its two passes, so a byte may differ by one."""
    theirs = channels_first(F.resize(image(), size)).astype(int)
    ours = F.resize(TENSOR, size)
    assert ours.dtype == minigrad.uint8
    assert np.abs(ours.numpy().astype(int) - theirs).max() <= 1


def test_pil_knows_all_modes():
    for mode in InterpolationMode:
        assert F.resize(image(), (4, 5), mode).size == (5, 4)


def test_the_same_size_changes_nothing():
    img = image()
    assert F.resize(img, (6, 9)) is img
    assert F.resize(TENSOR, 6) is TENSOR


def test_resize_refuses():
    with pytest.raises(NotImplementedError, match=r"BICUBIC for tensors is not part of minigrad"):
        F.resize(TENSOR, 3, InterpolationMode.BICUBIC)
    with pytest.raises(TypeError, match="interpolation = 2"):
        F.resize(TENSOR, 3, 2)
    with pytest.raises(ValueError, match="max_size = 3 must be larger than size = 4"):
        F.resize(TENSOR, 4, max_size=3)
    with pytest.raises(ValueError, match="goes with a single number"):
        F.resize(TENSOR, (4, 4), max_size=9)


# --- random ones


def numbered(h, w):
    """A tensor whose values tell their place."""
    return minigrad.arange(h * w, dtype=minigrad.float32).reshape(1, h, w)


def test_random_crop_reaches_every_place_and_repeats():
    crop = transforms.RandomCrop((2, 3))
    x = numbered(4, 5)

    def places(seed):
        minigrad.manual_seed(seed)
        return [int(crop(x)[0, 0, 0].item()) for _ in range(200)]

    assert set(places(0)) == {i * 5 + j for i in range(3) for j in range(3)}
    assert places(0) == places(0) != places(1)
    y = crop(x)
    top, left = divmod(int(y[0, 0, 0].item()), 5)
    np.testing.assert_array_equal(y.numpy(), x.numpy()[:, top : top + 2, left : left + 3])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_random_crop_pads_first(mode):
    crop = transforms.RandomCrop(6, padding=4, fill=9, padding_mode=mode)
    padded = F.pad(numbered(6, 6), 4, 9, mode).numpy()
    windows = [padded[:, i : i + 6, j : j + 6] for i in range(9) for j in range(9)]
    for _ in range(10):
        y = crop(numbered(6, 6)).numpy()
        assert any(np.array_equal(y, window) for window in windows)


def test_random_crop_treats_both_kinds_of_image_alike():
    crop = transforms.RandomCrop(5, padding=2)
    minigrad.manual_seed(3)
    ours = channels_first(crop(image()))
    minigrad.manual_seed(3)
    np.testing.assert_array_equal(crop(TENSOR).numpy(), ours)


def test_random_crop_of_a_small_image():
    with pytest.raises(
        ValueError, match=r"image is 6 by 9, smaller than size = \(7, 4\); set padding or pad_if_needed"
    ):
        transforms.RandomCrop((7, 4))(TENSOR)
    for size in ((7, 4), (3, 20), (10, 12)):
        assert transforms.RandomCrop(size, pad_if_needed=True)(TENSOR).shape == (3, *size)
        assert transforms.RandomCrop(size, pad_if_needed=True)(image()).size == size[::-1]
    assert transforms.RandomCrop((6, 9))(TENSOR).tolist() == TENSOR.tolist()


@pytest.mark.parametrize(
    ("cls", "flip"), [(transforms.RandomHorizontalFlip, F.hflip), (transforms.RandomVerticalFlip, F.vflip)]
)
def test_random_flips(cls, flip):
    x = numbered(2, 3)
    for p, expected in ((0.0, 0), (1.0, 400)):
        assert sum(cls(p)(x).tolist() == flip(x).tolist() for _ in range(400)) == expected
    minigrad.manual_seed(0)
    flipped = [cls(0.3)(x).tolist() == flip(x).tolist() for _ in range(400)]
    assert 80 < sum(flipped) < 160  # 120 expected, standard deviation 9
    minigrad.manual_seed(0)
    assert [cls(0.3)(x).tolist() == flip(x).tolist() for _ in range(400)] == flipped
    with pytest.raises(ValueError, match=r"p = 1\.5; expected a probability"):
        cls(1.5)


def test_the_source_is_left_alone():
    before = TENSOR.numpy().copy()
    for function in (transforms.RandomCrop(4, padding=2), transforms.Pad(1), transforms.Resize(4), F.hflip):
        function(TENSOR)
    np.testing.assert_array_equal(TENSOR.numpy(), before)
