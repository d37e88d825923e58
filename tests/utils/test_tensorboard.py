"""SummaryWriter: what is read back from the files is what tensors held."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
from events import events, values

import minigrad
from minigrad import nn
from minigrad.utils.tensorboard import SummaryWriter, on_host


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
        with pytest.raises(AttributeError, match=r"no 'add_nothing'; it offers add_embedding, add_figure"):
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


def test_on_host_looks_into_containers():
    t = minigrad.tensor([1.0], requires_grad=True)
    found = on_host({"a": [t, 1], "b": (t, "x")})
    assert isinstance(found["a"][0], np.ndarray)
    assert isinstance(found["b"], tuple)
    assert found["a"][1] == 1
    assert found["b"][1] == "x"


# ------------------------------------------------------------------------------------------------------- the graph


class Residual(nn.Module):
    """A module in a module, a sum of two paths, and a weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Dropout(0.5))

    def forward(self, x):
        return x + self.inner(self.inner(x))


def graph(folder):
    from tensorboardX.proto.graph_pb2 import GraphDef

    (message,) = [GraphDef.FromString(e.graph_def) for e in events(folder) if e.graph_def]
    return {node.name: node for node in message.node}


def test_the_graph_has_the_modules_ops_and_edges(tmp_path):
    model = Residual()
    model.inner[2].eval()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, minigrad.randn(2, 3))
    nodes = graph(tmp_path)
    layers = [
        name for name in nodes if name.startswith("Residual/inner/0/") and "weight" not in name and "bias" not in name
    ]
    assert len(layers) == 2  # called twice
    assert [list(nodes[name].input)[1:] for name in layers] == [
        ["Residual/inner/0/weight", "Residual/inner/0/bias"]
    ] * 2
    assert sum(name.startswith("Residual/inner/1/Tanh") for name in nodes) == 2
    (last,) = nodes["output/0"].input
    assert last.count("/") == 1  # the sum belongs to the outer module
    assert set(nodes[last].input) == {"input/0", "Residual/inner/1/Tanh_1"}
    assert all(source in nodes for node in nodes.values() for source in node.input)
    shape = nodes["Residual/inner/0/weight"].attr["_output_shapes"].list.shape[0]
    assert [d.size for d in shape.dim] == [3, 3]
    assert model.training
    assert not model.inner[2].training  # each module is left in the mode it was in
    assert model(minigrad.randn(2, 3)).shape == (2, 3)


def test_a_graph_needs_an_input_and_something_that_learns(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match="input_to_model is None"):
            writer.add_graph(nn.ReLU())
        with pytest.raises(TypeError, match=r"expected an nn\.Module"):
            writer.add_graph(lambda x: x, minigrad.ones(1))
        with pytest.raises(ValueError, match="no output of the model depends"):
            writer.add_graph(nn.Flatten(), minigrad.ones(2, 3, dtype=minigrad.int64))
