"""ToTensor, ToPILImage, Normalize, ConvertImageDtype and what chains them."""

import numpy as np
import pytest
from PIL import Image

import minigrad
from minigrad import transforms
from minigrad.transforms import functional as F


def noise(*shape, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("LA", 2), ("CMYK", 4), ("HSV", 3)])
def test_images_become_floats_between_0_and_1(mode, channels):
    pixels = noise(5, 7, channels)
    img = Image.frombytes(mode, (7, 5), pixels.tobytes())
    x = transforms.ToTensor()(img)
    assert x.shape == (channels, 5, 7)
    assert x.dtype == minigrad.float32
    assert x.is_contiguous()
    np.testing.assert_array_equal(x.numpy(), pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255))


def test_the_default_dtype_is_used():
    minigrad.set_default_dtype(minigrad.float64)
    try:
        x = F.to_tensor(noise(2, 2))
    finally:
        minigrad.set_default_dtype(minigrad.float32)
    np.testing.assert_array_equal(x.numpy()[0], noise(2, 2) / 255.0)


@pytest.mark.parametrize(
    ("mode", "dtype", "values"),
    [
        ("I", "<i4", [-5, 70_000]),
        ("F", "<f4", [0.5, -300.25]),
        ("I;16", "<u2", [3, 30_000, 32_768, 65_535]),
        ("I;16L", "<u2", [3, 65_535]),
        ("I;16B", ">u2", [3, 256, 65_535]),
    ],
)
def test_wide_images_keep_their_values(mode, dtype, values):
    img = Image.frombytes(mode, (len(values), 1), np.array(values, dtype=dtype).tobytes())
    for x in (F.to_tensor(img), F.pil_to_tensor(img)):
        assert x.dtype == (minigrad.float32 if mode == "F" else minigrad.int32)
        assert x.tolist() == [[values]]


def test_a_file_of_16_bit_greys_there_and_back(tmp_path):
    greys = np.array([[0, 255, 256], [32_767, 32_768, 65_535]], np.uint16)
    Image.fromarray(greys).save(tmp_path / "greys.png")
    with Image.open(tmp_path / "greys.png") as img:
        x = F.pil_to_tensor(img)
        assert x[0].tolist() == greys.tolist()
        for back in (F.to_pil_image(x, "I;16"), F.to_pil_image(greys), F.to_pil_image(greys.astype(">u2"))):
            assert (back.mode, back.tobytes()) == ("I;16", img.tobytes())
        assert F.to_pil_image(x).mode == "I"
    for wide in (minigrad.tensor([[70_000]], dtype=minigrad.int32), np.array([[-1]], np.int32)):
        with pytest.raises(ValueError, match=r"I;16 holds 0 … 65535, pic goes from (70000|-1)"):
            F.to_pil_image(wide, "I;16")
    with pytest.raises(ValueError, match="I;16 holds 0 … 65535, pic goes from -3"):
        F.to_pil_image(minigrad.tensor([[-3]], dtype=minigrad.int16))


def test_black_and_white_images():
    img = Image.new("1", (3, 2))
    img.putpixel((1, 0), 1)
    assert F.to_tensor(img).tolist() == [[[0, 1, 0], [0, 0, 0]]]
    assert F.pil_to_tensor(img).tolist() == [[[0, 255, 0], [0, 0, 0]]]


def test_arrays():
    pixels = noise(4, 6, 3)
    np.testing.assert_array_equal(F.to_tensor(pixels).numpy(), pixels.transpose(2, 0, 1) / np.float32(255))
    assert F.to_tensor(pixels[:, :, 0]).shape == (1, 4, 6)
    for dtype in (np.float32, np.float64, np.int32, np.bool_):
        x = F.to_tensor(pixels.astype(dtype))
        assert x.dtype.numpy == dtype
        np.testing.assert_array_equal(x.numpy(), pixels.astype(dtype).transpose(2, 0, 1))


def test_a_tensor_owns_its_memory():
    pixels = noise(4, 6, 3).astype(np.float32)
    before = pixels.copy()
    F.to_tensor(pixels).mul_(0)
    F.to_tensor(pixels[:, :, :1]).mul_(0)
    np.testing.assert_array_equal(pixels, before)
    img = Image.fromarray(noise(4, 6))
    F.pil_to_tensor(img).mul_(0)
    np.testing.assert_array_equal(np.asarray(img), noise(4, 6))


@pytest.mark.parametrize("bad", ["text", 3, None, minigrad.zeros(1, 2, 2)])
def test_other_things_are_refused(bad):
    with pytest.raises(TypeError, match=f"pic is a {type(bad).__name__}; expected a PIL image or a NumPy array"):
        F.to_tensor(bad)
    with pytest.raises(TypeError, match="pil_to_tensor: pic is"):
        F.pil_to_tensor(bad)


def test_dtypes_are_checked():
    for dtype in ("uint16", "complex64", "U1"):
        with pytest.raises(TypeError, match="no element type"):
            F.to_tensor(np.zeros((2, 2), dtype=dtype))


def test_shapes_are_checked():
    for shape in ((3,), (1, 2, 3, 4)):
        with pytest.raises(ValueError, match="expected \\(H, W\\) or \\(H, W, C\\)"):
            F.to_tensor(np.zeros(shape))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "I", "F"])
def test_there_and_back(mode):
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode, 1)
    width = 4 if mode in ("I", "F") else channels
    img = Image.frombytes(mode, (7, 5), noise(5, 7, width).astype(np.uint8).tobytes())
    back = F.to_pil_image(F.pil_to_tensor(img), mode="F" if mode == "F" else None)
    assert (back.mode, back.size) == (mode, (7, 5))
    assert back.tobytes() == img.tobytes()
    if mode not in ("I", "F"):
        assert F.to_pil_image(F.to_tensor(img)).tobytes() == img.tobytes()


def test_to_pil_image_from_arrays_and_flat_tensors():
    pixels = noise(4, 6, 3)
    np.testing.assert_array_equal(np.asarray(F.to_pil_image(pixels)), pixels)
    assert transforms.ToPILImage("HSV")(pixels).mode == "HSV"
    assert F.to_pil_image(minigrad.zeros(4, 6)).size == (6, 4)
    x = minigrad.tensor([[0.0, 0.5, 1.0]])
    assert list(F.to_pil_image(x).tobytes()) == [0, 127, 255]  # rounded down, as in torchvision


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_to_pil_image_takes_floats_as_0_to_1(dtype, channels):
    values = np.array([[0.0, 0.5, 1.0], [-0.1, 1.2, np.nan]], dtype)
    array = values if channels is None else np.stack([values] * channels, -1)
    with np.errstate(all="raise"):
        img = F.to_pil_image(array)
    assert img.mode == {2: "LA", 3: "RGB", 4: "RGBA"}.get(channels, "L")
    expected = np.array([[0, 127, 255], [0, 255, 0]], np.uint8)  # clipped, not wrapped round
    np.testing.assert_array_equal(np.asarray(img).reshape(array.shape).T, np.broadcast_to(expected.T, array.T.shape))
    tensor = minigrad.tensor(array if channels is None else array.transpose(2, 0, 1))
    assert F.to_pil_image(tensor).tobytes() == img.tobytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_to_pil_image_keeps_floats_in_mode_f(dtype):
    values = np.array([[0.5, -300.25]], dtype)
    img = F.to_pil_image(values, "F")
    assert img.mode == "F"
    np.testing.assert_array_equal(np.asarray(img), values.astype(np.float32))


@pytest.mark.parametrize(
    ("pic", "mode", "kind", "message"),
    [
        (minigrad.zeros(5, 2, 2), None, ValueError, "5 channels"),
        (minigrad.zeros(2), None, ValueError, "shape \\(2,\\)"),
        (np.zeros((2, 2, 3), np.int64), None, TypeError, "3 channels of dtype int64"),
        (np.zeros((2, 2), np.bool_), None, TypeError, "1 channels of dtype bool"),
        (np.zeros((2, 2, 3)), "F", TypeError, "3 channels of dtype float32"),
        (np.zeros((2, 2)), "I", ValueError, "mode = 'I'; 1 channels of dtype uint8 are L"),
        (np.zeros((2, 2, 3), np.uint8), "L", ValueError, "mode = 'L'; 3 channels of dtype uint8 are RGB or"),
        ("text", None, TypeError, "pic is a str"),
    ],
)
def test_to_pil_image_refuses(pic, mode, kind, message):
    with pytest.raises(kind, match=message):
        F.to_pil_image(pic, mode)


# --- Normalize


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalize(shape, dtype):
    x = np.random.default_rng(1).random(shape).astype(dtype)
    mean, std = np.array([0.1, 0.2, 0.3], dtype), np.array([0.5, 0.25, 2.0], dtype)
    t = minigrad.tensor(x)
    y = transforms.Normalize(mean.tolist(), std.tolist())(t)
    np.testing.assert_array_equal(y.numpy(), (x - mean[:, None, None]) / std[:, None, None])
    np.testing.assert_array_equal(t.numpy(), x)
    z = transforms.Normalize((0.1,), (2.0,))(t)
    np.testing.assert_array_equal(z.numpy(), (x - dtype(0.1)) / dtype(2))


def test_normalize_in_place():
    t = minigrad.tensor([[[1.0, 2.0]]])
    assert F.normalize(t, [1.0], [0.5], inplace=True) is t
    assert t.tolist() == [[[0.0, 2.0]]]


def test_normalize_lets_gradients_through():
    x = minigrad.rand(3, 2, 2, requires_grad=True)
    g = minigrad.randn(3, 2, 2)
    F.normalize(x, [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]).backward(g)
    np.testing.assert_allclose(x.grad.numpy(), g.numpy() / np.array([0.5, 0.25, 2.0])[:, None, None], rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "mean", "std", "kind", "message"),
    [
        (minigrad.zeros(3, 2, 2), [0.0] * 3, [1.0, 0.0, 1.0], ValueError, r"std = \[1.0, 0.0, 1.0\] has a 0"),
        (minigrad.zeros(1, 2, 2), [0.0], [1e-60], ValueError, "has a 0 in minigrad.float32"),
        (
            minigrad.zeros(3, 2, 2),
            [0.0] * 2,
            [1.0] * 3,
            ValueError,
            "mean has 2 numbers, the image 3 channels",
        ),
        (minigrad.zeros(2, 2), [0.0], [1.0], ValueError, r"shape \(2, 2\)"),
        (minigrad.zeros(3, 2, 2, dtype=minigrad.uint8), [0.0], [1.0], TypeError, "dtype minigrad.uint8"),
        (np.zeros((3, 2, 2)), [0.0], [1.0], TypeError, "is a ndarray.*ToTensor comes before"),
    ],
)
def test_normalize_refuses(x, mean, std, kind, message):
    with pytest.raises(kind, match=message):
        F.normalize(x, mean, std)


# --- ConvertImageDtype

INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]


def test_convert_from_bytes_to_floats_and_back():
    x = minigrad.arange(256).to(minigrad.uint8)
    y = transforms.ConvertImageDtype(minigrad.float32)(x)
    np.testing.assert_array_equal(y.numpy(), np.arange(256, dtype=np.float32) / np.float32(255))
    assert F.convert_image_dtype(y, minigrad.uint8).tolist() == list(range(256))
    assert F.convert_image_dtype(minigrad.tensor([0.5, 0.9999]), minigrad.uint8).tolist() == [127, 255]
    assert F.convert_image_dtype(y, minigrad.float64).dtype == minigrad.float64
    assert F.convert_image_dtype(x, minigrad.uint8).tolist() == list(range(256))
    assert F.convert_image_dtype(x).dtype == minigrad.float32


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
@pytest.mark.parametrize("target", ["uint8", "int8", "int16"])
def test_convert_from_floats_reaches_the_ends_and_clips(source, target):
    top = np.iinfo(target).max
    x = minigrad.tensor(np.array([0.0, 0.5, 1.0, -0.2, 1.3], source))
    y = F.convert_image_dtype(x, getattr(minigrad, target))
    assert y.tolist() == [0, (top + 1) // 2 - 1, top, 0, top]


@pytest.mark.parametrize("source", INTEGERS)
@pytest.mark.parametrize("target", INTEGERS)
def test_convert_between_integers_keeps_the_scale(source, target):
    """The largest value becomes the largest, up to the lost low bits; 0 stays 0; going up and down changes
    nothing.
    """
    high = np.iinfo(source).max
    x = minigrad.tensor(np.array([0, high // 2 + 1, high], dtype=source))
    y = F.convert_image_dtype(x, getattr(minigrad, target))
    top = int(np.iinfo(target).max)
    step = max(1, (top + 1) // (int(high) + 1))
    assert y.tolist() == [0, (top + 1) // 2, top + 1 - step]
    if np.iinfo(target).max >= high:
        assert F.convert_image_dtype(y, getattr(minigrad, source)).tolist() == x.tolist()


@pytest.mark.parametrize(("source", "target"), [("float32", "int32"), ("float32", "int64"), ("float64", "int64")])
def test_convert_refuses_what_would_lose_values(source, target):
    x = minigrad.zeros(2, dtype=getattr(minigrad, source))
    with pytest.raises(RuntimeError, match=f"minigrad.{source} cannot hold all values of minigrad.{target}"):
        F.convert_image_dtype(x, getattr(minigrad, target))


# --- chaining


def test_compose_applies_in_order():
    chain = transforms.Compose([lambda x: x + 1, transforms.Lambda(lambda x: x * 10), str])
    assert chain(2) == "30"


def test_reprs_are_torchvisions():
    chain = transforms.Compose(
        [
            transforms.Resize(32),
            transforms.CenterCrop(24),
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.RandomVerticalFlip(0.1),
            transforms.Pad((1, 2), fill=3),
            transforms.ToTensor(),
            transforms.PILToTensor(),
            transforms.ToPILImage("L"),
            transforms.ToPILImage(),
            transforms.ConvertImageDtype(minigrad.float32),
            transforms.Lambda(str),
            transforms.Normalize((0.1307,), (0.3081,)),
        ]
    )
    assert repr(chain).splitlines() == [
        "Compose(",
        "    Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)",
        "    CenterCrop(size=(24, 24))",
        "    RandomCrop(size=(32, 32), padding=4)",
        "    RandomHorizontalFlip(p=0.5)",
        "    RandomVerticalFlip(p=0.1)",
        "    Pad(padding=(1, 2), fill=3, padding_mode=constant)",
        "    ToTensor()",
        "    PILToTensor()",
        "    ToPILImage(mode=L)",
        "    ToPILImage()",
        "    ConvertImageDtype()",
        "    Lambda()",
        "    Normalize(mean=(0.1307,), std=(0.3081,))",
        ")",
    ]


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match=r"transforms\[1\] is a int"):
        transforms.Compose([str, 3])
    with pytest.raises(TypeError, match="lambd is a int"):
        transforms.Lambda(3)


def test_unknown_names_are_told():
    with pytest.raises(AttributeError, match="no 'ColorJitter'; it offers"):
        getattr(transforms, "ColorJitter")  # noqa: B009
