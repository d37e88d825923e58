"""SummaryWriter: what is read back from the files is what tensors held."""

from __future__ import annotations

import enum
import inspect
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from events import scalars, values

import minigrad
from minigrad import nn
from minigrad.nested import on_host
from minigrad.utils.tensorboard import SummaryWriter


def test_scalars_of_every_kind(tmp_path):
    loss = (minigrad.ones(2, requires_grad=True) * 0.25).sum()
    with SummaryWriter(tmp_path) as writer:
        for step, number in enumerate([1, 0.5, np.float32(0.25), minigrad.tensor([2.0]), loss]):
            writer.add_scalar("loss", number, step)
        assert writer.get_logdir() == writer.log_dir == str(tmp_path)
    read = [(tag, step, value.simple_value) for tag, step, value in values(tmp_path)]
    assert read == [("loss", 0, 1), ("loss", 1, 0.5), ("loss", 2, 0.25), ("loss", 3, 2), ("loss", 4, 0.5)]


def test_histograms_images_and_text(tmp_path):
    rng = np.random.default_rng(0)
    weight = minigrad.tensor(rng.normal(size=(4, 5)), requires_grad=True)
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("weight", weight, 3)
        writer.add_image("one", minigrad.rand(3, 6, 8), 1)
        writer.add_images("many", minigrad.rand(2, 1, 6, 8), 1)
        writer.add_text("notes", "**bold**")
        writer.add_pr_curve("pr", minigrad.tensor([0, 1, 1]), minigrad.tensor([0.1, 0.6, 0.9]), 1)
        writer.add_scalars("both", {"a": minigrad.tensor(1.0), "b": 2.0}, 7)
    found = {tag: (step, value) for tag, step, value in values(tmp_path)}
    step, value = found["weight"]
    assert step == 3
    assert value.histo.num == 20
    assert value.histo.sum == pytest.approx(weight.detach().numpy().sum())
    assert (found["one"][1].image.height, found["one"][1].image.width) == (6, 8)
    assert found["many"][1].image.width == 16
    assert b"**bold**" in found["notes/text_summary"][1].tensor.string_val[0]
    assert "pr" in found
    assert found["both"][1].simple_value in (1, 2)


def test_settings_go_to_a_run_below(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams({"lr": 0.1}, {"accuracy": minigrad.tensor(0.5)}, run_name="trial")
    tags = [tag for tag, _, _ in values(tmp_path / "trial")]
    assert "accuracy" in tags
    assert "_hparams_/experiment" in tags


def test_what_is_missing_says_so(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for option in ("new_style", "double_precision"):
            with pytest.raises(NotImplementedError, match=option):
                writer.add_scalar("a", 1, 0, **{option: True})
        with pytest.raises(NotImplementedError, match="hparam_domain_discrete"):
            writer.add_hparams({}, {}, {"lr": [1, 2]})
        with pytest.raises(AttributeError, match=r"no 'add_nothing'; it offers add_audio, add_custom_scalars"):
            _ = writer.add_nothing
        assert callable(writer.add_mesh)


def test_signatures_are_pytorchs():
    theirs = pytest.importorskip("torch.utils.tensorboard").SummaryWriter
    names = ["__init__", *[n for n in vars(SummaryWriter) if n.startswith("add_")], "flush", "close", "get_logdir"]
    for name in names:
        ours = inspect.signature(getattr(SummaryWriter, name)).parameters.values()
        expected = inspect.signature(getattr(theirs, name)).parameters.values()
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in expected], name


def test_importing_it_does_not_import_pytorch(tmp_path):
    code = (
        "import sys\n"
        "from minigrad.utils.tensorboard import SummaryWriter\n"
        "assert 'tensorboardX' not in sys.modules\n"
        f"SummaryWriter({str(tmp_path)!r}).close()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_where_logs_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for writer in (SummaryWriter(), SummaryWriter("", comment="-more"), SummaryWriter(comment="-more")):
        writer.close()
    first, *others = sorted(Path("runs").iterdir(), key=lambda path: path.name.endswith("-more"))
    assert len(list(first.iterdir())) == 1
    assert sum(len(list(other.iterdir())) for other in others) == 2
    with pytest.raises(ValueError, match="expected a folder"):
        SummaryWriter("s3://bucket/logs")


def test_a_tag_is_what_it_is_called(tmp_path):
    tags = ["acc@1", "acc%1", "acc_1", "$\\alpha$", "a b", "größe", "/leading", "two\nlines"]
    with SummaryWriter(tmp_path) as writer:
        for tag in tags:
            writer.add_scalar(tag, 1.0, 0)
            writer.add_histogram(tag, [1.0], 0)
            writer.add_image(tag, minigrad.rand(3, 2, 2), 0)
            writer.add_image_with_boxes(tag, minigrad.rand(3, 4, 4), minigrad.tensor([[0.0, 0, 2, 2]]), 0)
            writer.add_pr_curve(tag, [0, 1], [0.2, 0.7], 0)
            writer.add_text(tag.removeprefix("/"), "text", 0)
    found = [tag for tag, _, _ in values(tmp_path)]
    assert {tag: found.count(tag) for tag in tags} == dict.fromkeys(tags, 5)
    assert sum(tag.endswith("/text_summary") for tag in set(found)) == len(tags)
    with SummaryWriter(tmp_path / "more") as writer:
        writer.add_scalars("top", {"acc@1": 1.0, "acc%1": 2.0}, 0)
        writer.add_hparams({"lr": 1}, {"acc@1": 1.0, "acc%1": 2.0}, run_name="trial")
    below = {path.parent.name for path in (tmp_path / "more").rglob("events.*")}
    assert {"top_acc@1", "top_acc%1"} <= below
    assert {("acc@1", 0, 1.0), ("acc%1", 0, 2.0)} <= set(scalars(tmp_path / "more" / "trial"))


def test_a_tag_that_is_no_utf8_is_written_out(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("\udcff", 1.0, 0)
    assert scalars(tmp_path) == [("\\udcff", 0, 1.0)]


class Colour(enum.Enum):
    RED = 1


NUMBERS = [
    (3, 3.0),
    (10**30, np.float32(10**30)),
    (Fraction(1, 2), 0.5),
    (Decimal("1.5"), 1.5),
    (True, 1.0),
    (np.float16(0.5), 0.5),
    (np.int64(2), 2.0),
    (np.bool_(False), 0.0),
    (np.array([[4.0]]), 4.0),
    (minigrad.tensor(5), 5.0),
    (minigrad.tensor([[6.0]], dtype=minigrad.float16, requires_grad=True), 6.0),
    ([7.0], 7.0),
]


@pytest.mark.parametrize(("given", "expected"), NUMBERS)
def test_numbers_of_every_kind(given, expected, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_scalar("a", given, minigrad.tensor(2))
        writer.add_scalar("b", given, np.int32(3))
        writer.add_scalar("c", given)
        writer.add_hparams({"x": given}, {"figure": given}, run_name="trial")
    assert scalars(tmp_path)[-3:] == [("b", 3, expected), ("c", 0, expected), ("figure", 0, expected)]
    setting = str(given) if isinstance(given, list) else pytest.approx(expected)
    assert hparams_in(tmp_path)["x"] == setting


def hparams_in(folder):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    data = [value.metadata.plugin_data.content for tag, _, value in values(folder) if tag.endswith("start_info")]
    kept = HParamsPluginData.FromString(data[0]).session_start_info.hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in kept.items()}


def test_settings_are_converted_or_named(tmp_path):
    settings = {
        "sizes": [10, 20],
        "rates": (np.float32(0.5), minigrad.tensor([1.0, 2.0])),
        "where": Path("a/b"),
        "colour": Colour.RED,
        "layer": nn.ReLU,
        "none": None,
        "name": "x",
        "three": minigrad.tensor([1, 2, 3]),
    }
    with SummaryWriter(tmp_path) as writer:
        writer.add_hparams(settings, {}, run_name="trial")
        for bad in (object(), 1j, b"x"):
            with pytest.raises(TypeError, match=r"hparam_dict\['odd'\]"):
                writer.add_hparams({"odd": bad}, {}, run_name="bad")
        for bad, error in (("high", TypeError), (None, TypeError), ([1.0, 2.0], ValueError)):
            with pytest.raises(error, match=r"metric_dict\['odd'\]"):
                writer.add_hparams({}, {"odd": bad}, run_name="bad")
    assert not (tmp_path / "bad").exists()
    assert hparams_in(tmp_path) == {
        "sizes": "[10, 20]",
        "rates": "(0.5, [1.0, 2.0])",
        "where": "a/b",
        "colour": "RED",
        "layer": "ReLU",
        "name": "x",
        "three": "[1, 2, 3]",
    }


def test_what_is_no_number_is_named(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for bad, error in (("0.5", TypeError), (None, TypeError), (1j, TypeError), ([1, 2], ValueError)):
            with pytest.raises(error, match=r"add_scalar: 'loss'"):
                writer.add_scalar("loss", bad, 0)
        for bad in ("1", [1, 2], float("nan")):
            with pytest.raises((TypeError, ValueError), match="global_step"):
                writer.add_scalar("loss", 1.0, bad)
        for write in (writer.add_scalar, writer.add_histogram, writer.add_text):
            with pytest.raises(TypeError, match=r"tag is 3 \(int\), expected text"):
                write(3, "text" if write == writer.add_text else 1.0)
        with pytest.raises(TypeError, match=r"tag is 3 \(int\), expected text"):
            writer.add_image(3, minigrad.rand(3, 2, 2))
        with pytest.raises(TypeError, match=r"tag is 3 \(int\), expected text"):
            writer.add_hparams({3: 1}, {})
        with pytest.raises(ValueError, match=r"add_image: 'none' has shape \(0, 3, 2, 2\)"):
            writer.add_images("none", minigrad.zeros(0, 3, 2, 2))
        with pytest.raises(TypeError, match=r"add_text: 'notes' is a int"):
            writer.add_text("notes", 3)
        with pytest.raises(ValueError, match=r"add_histogram: 'w' has no elements"):
            writer.add_histogram("w", minigrad.zeros(0), 0)
        with pytest.raises(ValueError, match=r"predictions of 'pr' must be probabilities"):
            writer.add_pr_curve("pr", [0, 1], [0.5, float("nan")], 0)
        with pytest.raises(ValueError, match="3 labels and 2 predictions"):
            writer.add_pr_curve("pr", [0, 1, 1], [0.5, 0.5], 0)
    assert values(tmp_path) == []


def test_scalars_that_are_not_finite_are_kept(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step, number in enumerate([float("nan"), float("inf"), -float("inf"), 1e300]):
            writer.add_scalar("a", number, step)
    found = [value for _, _, value in scalars(tmp_path)]
    assert np.isnan(found[0])
    assert found[1:] == [float("inf"), -float("inf"), float("inf")]  # float32 is what is kept


HISTOGRAMS = [
    (np.array(2.0), 1),  # 0-d
    ([True, False, True], 3),
    (minigrad.tensor([1.0, 60000.0], dtype=minigrad.float16), 2),
    ([1.0, float("nan"), float("inf"), -3.0], 2),
    ([1e30, -1e300, 0.0, 1e-40], 4),
    (np.zeros(5), 5),
    ([float("nan")] * 3, 0),
    ([float("inf"), 2.0**900, 0], 2),
]


@pytest.mark.filterwarnings("ignore:overflow")  # NumPy's, of sums
@pytest.mark.parametrize(("given", "counted"), HISTOGRAMS)
@pytest.mark.parametrize("bins", ["tensorflow", 4])
def test_histograms_of_odd_values(given, counted, bins, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram("w", given, 0, bins=bins)
    ((_, _, value),) = values(tmp_path)
    assert sum(value.histo.bucket) == counted
    assert len(value.histo.bucket) == len(value.histo.bucket_limit) > 0
    assert value.histo.num == np.size(on_host(given))


def picture(value):
    from io import BytesIO

    from PIL import Image

    return np.asarray(Image.open(BytesIO(value.image.encoded_image_string)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_images_are_clipped(dtype, tmp_path):
    image = np.array([[-0.5, 0.0, 0.5], [1.0, 1.5, np.nan]], dtype)
    with SummaryWriter(tmp_path) as writer:
        writer.add_image("image", minigrad.tensor(image), 0, dataformats="HW")
        writer.add_images("images", np.stack([image, image])[:, None], 0)
        writer.add_image("bytes", np.array([[0, 128, 255]], np.uint8), 0, dataformats="HW")
        writer.add_image("mask", np.array([[True, False]]), 0, dataformats="HW")
    found = [picture(value)[..., 0] for _, _, value in values(tmp_path)]
    assert found[0].tolist() == [[0, 0, 127], [255, 255, 0]]
    assert found[1].tolist() == [[0, 0, 127] * 2, [255, 255, 0] * 2]
    assert found[2].tolist() == [[0, 128, 255]]
    assert found[3].tolist() == [[255, 0]]


def test_what_is_raw_and_what_lies_beside(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_histogram_raw("raw", 0, minigrad.tensor(1.0), 2, 1, 1, minigrad.tensor([0.5, 1.0]), [1, 1], 3)
        writer.add_pr_curve_raw("curve", *[minigrad.tensor([0.5, 1.0])] * 6, 3, num_thresholds=2)
        writer.add_mesh("points", minigrad.rand(1, 4, 3), global_step=3)
        writer.add_custom_scalars_multilinechart(["a", "b"])
        writer.add_custom_scalars_marginchart(["a", "b", "c"])
        writer.add_embedding(
            minigrad.rand(2, 3), [minigrad.tensor(1), "two\nlines\tof"], global_step=minigrad.tensor(1)
        )
    found = {tag: step for tag, step, _ in values(tmp_path)}
    assert found == {"raw": 3, "curve": 3, "points_1": 3, "custom_scalars__config__": 0}
    assert (tmp_path / "00001" / "default" / "metadata.tsv").read_text().splitlines() == ["1", "two lines of"]
