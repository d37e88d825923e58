"""Learning on ``device="cuda"``: layers, losses, optimizers, initialisation, data, files and logs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device_suite import OnDevice, numbers

import minigrad
from minigrad import kernels, nn, optim, tensor
from minigrad.nested import on_host
from minigrad.utils.data import DataLoader, TensorDataset

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(4, 3), (5, 4)),
    "Linear, three axes": (lambda: nn.Linear(4, 3), (2, 5, 4)),
    "Linear without bias": (lambda: nn.Linear(4, 3, bias=False), (4,)),
    "Linear, ReLU": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Sigmoid()), (5, 4)),
    "Linear, Tanh": (lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh()), (5, 4)),
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3, 2, 1), (2, 3, 6, 7)),
    "Conv2d, grouped, reflecting": (
        lambda: nn.Conv2d(4, 6, (3, 2), padding=1, groups=2, padding_mode="reflect"),
        (2, 4, 6, 7),
    ),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 2, padding="same", dilation=3), (2, 3, 7)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1, 1), (2, 3, 4, 5)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(3, 4, 3, 2), (2, 3, 4)),
    "Unfold, Fold": (lambda: nn.Sequential(nn.Unfold(3), nn.Fold((5, 6), 3)), (2, 3, 5, 6)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (5, 4)),
    "BatchNorm2d, ReLU": (lambda: nn.Sequential(nn.BatchNorm2d(3, momentum=None), nn.ReLU()), (2, 3, 4, 5)),
    "evaluated BatchNorm2d": (lambda: nn.BatchNorm2d(3).eval(), (2, 3, 4, 5)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(3, affine=True, track_running_stats=True), (2, 3, 5)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 5)),
    "LayerNorm, RMSNorm": (lambda: nn.Sequential(nn.LayerNorm((4, 5)), nn.RMSNorm(5)), (2, 4, 5)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2), (2, 4, 5)),
    "PReLU": (lambda: nn.PReLU(4), (5, 4)),
    "Softmax": (lambda: nn.Softmax(dim=1), (5, 4)),
    "LogSoftmax": (lambda: nn.LogSoftmax(dim=-1), (5, 4)),
    "Flatten, Unflatten": (lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (4, 3))), (5, 2, 6)),
    "Identity": (lambda: nn.Sequential(nn.Identity(), nn.Linear(4, 1)), (5, 4)),
    "evaluated Dropout": (lambda: nn.Dropout(0.5).eval(), (5, 4)),
    "evaluated Dropout2d": (lambda: nn.Dropout2d(0.5).eval(), (2, 3, 4, 4)),
    "padding": (lambda: nn.Sequential(nn.ReflectionPad2d(1), nn.CircularPad2d((2, 0, 1, 3))), (2, 3, 4, 5)),
    "Upsample": (lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"), (2, 3, 4, 5)),
    "PixelShuffle": (lambda: nn.Sequential(nn.PixelShuffle(2), nn.UpsamplingNearest2d((5, 7))), (2, 8, 3, 2)),
    "SpatialAttention": (lambda: nn.SpatialAttention(3), (2, 3, 5, 4)),
    "NormalizedSwish": (nn.NormalizedSwish, (5, 4)),
    **{
        name: (getattr(nn, name), (5, 4))
        for name in ("ELU", "GELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "ReLU", "ReLU6", "SiLU")
    },
    **{name: (getattr(nn, name), (5, 4)) for name in ("Sigmoid", "Softplus", "Swish", "Tanh")},
}
LOSSES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any]]] = {
    "MSELoss": (nn.MSELoss, lambda x: x * 0.5),
    "L1Loss": (nn.L1Loss, lambda x: x * 0.5),
    "HuberLoss": (lambda: nn.HuberLoss(delta=0.3), lambda x: x * 0.5),
    "SmoothL1Loss": (nn.SmoothL1Loss, lambda x: x * 0.5),
    "BCEWithLogitsLoss": (lambda: nn.BCEWithLogitsLoss(pos_weight=tensor(2.0)), lambda x: (x > 0).to(x.dtype)),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(), lambda x: x.argmax(1)),
    "CrossEntropyLoss, weighted": (
        lambda: nn.CrossEntropyLoss(weight=tensor([1.0, 2.0, 3.0, 4.0]), label_smoothing=0.1),
        lambda x: x.argmax(1),
    ),
    "CrossEntropyLoss of probabilities": (nn.CrossEntropyLoss, lambda x: x.softmax(1)),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), lambda x: x.softmax(1)),
}
RULES: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    (optim.Adam, {"weight_decay": 0.1, "amsgrad": True}),
    (optim.AdamW, {}),
    (optim.RMSprop, {"centered": True, "momentum": 0.5}),
    (optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    (optim.Adadelta, {"weight_decay": 0.1}),
    (optim.NAdam, {"weight_decay": 0.1}),
    (optim.RAdam, {"betas": (0.9, 0.5)}),
    (optim.Adamax, {}),
    (optim.Rprop, {}),
]
FILLS: dict[str, Callable[[Any], Any]] = {
    "uniform_": nn.init.uniform_,
    "normal_": nn.init.normal_,
    "trunc_normal_": nn.init.trunc_normal_,
    "constant_": lambda w: nn.init.constant_(w, 3.0),
    "ones_": nn.init.ones_,
    "zeros_": nn.init.zeros_,
    "eye_": nn.init.eye_,
    "xavier_uniform_": nn.init.xavier_uniform_,
    "xavier_normal_": nn.init.xavier_normal_,
    "kaiming_uniform_": nn.init.kaiming_uniform_,
    "kaiming_normal_": nn.init.kaiming_normal_,
    "orthogonal_": nn.init.orthogonal_,
}


def blobs() -> tuple[Any, Any]:
    """Three clouds of points (60, 2), float64, and their numbers."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = rng.standard_normal((60, 2)) * 0.3 + np.array([[0, 0], [2, 0], [0, 2]])[labels]
    return tensor(points), tensor(labels)


def network() -> nn.Module:
    minigrad.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3)).double()


class TrainingOnDevice(OnDevice):
    @pytest.mark.parametrize("name", LAYERS)
    def test_a_layer(self, name: str) -> None:
        make, shape = LAYERS[name]
        minigrad.manual_seed(1)
        layer = make().double()

        def compute(device: str) -> list[Any]:
            rng = np.random.default_rng(2)
            here = copy.deepcopy(layer).to(device)
            x = tensor(rng.standard_normal(shape), device=device, requires_grad=True)
            y = here(x)
            y.backward(tensor(rng.standard_normal(y.shape), device=device))
            return [y, x.grad, *[p.grad for p in here.parameters()], *here.buffers()]

        self.both(compute)

    @pytest.mark.parametrize("name", LOSSES)
    def test_a_loss(self, name: str) -> None:
        make, aim = LOSSES[name]

        def compute(device: str) -> list[Any]:
            x = tensor(np.random.default_rng(2).standard_normal((5, 4)), device=device, requires_grad=True)
            loss = make().double().to(device)(x, aim(x.detach()))
            loss.backward(tensor(0.7, dtype=minigrad.float64, device=device))
            return [loss, x.grad]

        self.both(compute)

    def test_words_have_vectors(self) -> None:
        def compute(device: str) -> list[Any]:
            minigrad.manual_seed(0)
            table = nn.Embedding(5, 3, padding_idx=1).double().to(device)
            y = table(tensor([[0, 1, 4], [4, 4, 2]], device=device))
            y.backward(tensor(np.random.default_rng(1).standard_normal((2, 3, 3)), device=device))
            return [y, table.weight.grad]

        self.both(compute)
        with pytest.raises(IndexError, match="index 5 is out of range for a table of 5 rows"):
            nn.Embedding(5, 3).to("cuda")(tensor([5], device="cuda"))

    def test_a_network_moves_in_place(self) -> None:
        model = network()
        before = list(model.parameters())
        model(tensor([[1.0, 2.0]], dtype=minigrad.float64)).sum().backward()
        assert model.to("cuda") is model
        assert all(p is q for p, q in zip(before, model.parameters(), strict=True))
        assert all(p.is_cuda and p.grad.is_cuda and p.is_leaf for p in model.parameters())
        assert not any(p.is_cuda for p in model.cpu().parameters())
        assert all(p.is_cuda for p in nn.Linear(2, 3, device="cuda").parameters())

    def test_states_travel_between_devices(self) -> None:
        there, here = network().to("cuda"), network()
        with minigrad.no_grad():
            for p in there.parameters():
                p += 1.0
        here.load_state_dict(there.state_dict())
        assert not any(p.is_cuda for p in here.parameters())
        there.load_state_dict(network().state_dict())
        for p, q, r in zip(here.parameters(), there.parameters(), network().parameters(), strict=True):
            assert q.is_cuda
            np.testing.assert_array_equal(numbers(q), numbers(r))
            np.testing.assert_allclose(numbers(p), numbers(r) + 1.0)

    @pytest.mark.parametrize(
        ("rule", "settings"), RULES, ids=lambda v: "-".join(v) if isinstance(v, dict) else v.__name__
    )
    def test_an_optimizer(self, rule: Any, settings: dict[str, Any]) -> None:
        x, t = blobs()

        def compute(device: str) -> list[Any]:
            model = network().to(device)
            optimizer = rule(model.parameters(), **settings)
            for _ in range(4):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x.to(device)), t.to(device)).backward()
                optimizer.step()
            kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, minigrad.Tensor)]
            return [*model.parameters(), *kept]

        self.both(compute)

    @pytest.mark.parametrize(
        ("rule", "settings"), RULES, ids=lambda v: "-".join(v) if isinstance(v, dict) else v.__name__
    )
    def test_an_optimizer_of_float16(self, rule: Any, settings: dict[str, Any]) -> None:
        start, *gradients = np.random.default_rng(0).standard_normal((4, 30)).astype(np.float16)

        def compute(device: str) -> list[Any]:
            p = nn.Parameter(tensor(start, device=device))
            optimizer = rule([p], **settings)
            for g in gradients:
                p.grad = tensor(g, device=device)
                optimizer.step()
            assert p.dtype == minigrad.float16
            return [p.float()]

        self.both(compute)

    @pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
    def test_lbfgs(self, line_search_fn: str | None) -> None:
        x, t = blobs()

        def compute(device: str) -> list[Any]:
            model = network().to(device)
            optimizer = optim.LBFGS(model.parameters(), lr=0.1, max_iter=3, line_search_fn=line_search_fn)

            def closure() -> Any:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x.to(device)), t.to(device))
                loss.backward()
                return loss

            return [optimizer.step(closure), *model.parameters()]

        self.both(compute)

    def test_an_optimizers_state_follows_its_parameters(self) -> None:
        x, t = blobs()
        one, other = network(), network().to("cuda")
        first, second = optim.Adam(one.parameters()), optim.Adam(other.parameters())
        nn.functional.cross_entropy(one(x), t).backward()
        first.step()
        second.load_state_dict(first.state_dict())
        for p, q in zip(one.parameters(), other.parameters(), strict=True):
            assert second.state[q]["exp_avg"].is_cuda
            np.testing.assert_array_equal(numbers(second.state[q]["exp_avg"]), numbers(first.state[p]["exp_avg"]))

    @pytest.mark.parametrize("name", FILLS)
    def test_a_weight_is_filled_there(self, name: str) -> None:
        there, here = (FILLS[name](minigrad.zeros(40, 30, device=d)) for d in ("cuda", "cpu"))
        assert there.is_cuda
        a, b = numbers(there), numbers(here)
        assert abs(a.mean() - b.mean()) < 0.1
        assert abs(a.std() - b.std()) < 0.1
        if name == "orthogonal_":
            np.testing.assert_allclose(a.T @ a, np.eye(30), atol=1e-5)

    @pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
    def test_gradients_are_clipped(self, p: float) -> None:
        def compute(device: str) -> list[Any]:
            ws = [tensor(v, device=device, requires_grad=True) for v in ([3.0, -4.0], [[12.0]], [])]
            for w in ws:
                w.grad = w.detach() * 2
            norm = nn.utils.clip_grad_norm_(ws, 1.0, norm_type=p)
            kept = [norm, *[w.grad.clone() for w in ws]]
            nn.utils.clip_grad_value_(ws, 0.1)
            vector = nn.utils.parameters_to_vector(ws)
            nn.utils.vector_to_parameters(vector * 2, ws)
            return [*kept, vector, *ws, *[w.grad for w in ws]]

        self.both(compute)
        w = tensor([float("inf"), 1.0], device="cuda", requires_grad=True)
        w.grad = w.detach()
        with pytest.raises(RuntimeError, match="norm of the gradients is inf"):
            nn.utils.clip_grad_norm_([w], 1.0, norm_type=p, error_if_nonfinite=True)

    def test_dropout_learns_from_what_it_kept(self) -> None:
        layer = nn.Dropout(0.25)
        x = minigrad.ones(400, device="cuda", requires_grad=True)
        minigrad.manual_seed(2)
        y = layer(x)
        g = tensor(np.random.default_rng(0).standard_normal(400), device="cuda", dtype=minigrad.float32)
        y.backward(g)
        kept = numbers(y) != 0
        assert 0.65 < kept.mean() < 0.85
        np.testing.assert_allclose(numbers(y)[kept], 4 / 3, rtol=1e-6)
        np.testing.assert_allclose(numbers(x.grad), numbers(g) * numbers(y), rtol=1e-6)
        minigrad.manual_seed(2)
        np.testing.assert_array_equal(numbers(layer(x)), numbers(y))
        assert layer.eval()(x) is x

    @pytest.mark.parametrize("on", [True, False])
    def test_batches_of_a_loader_train_a_network(self, on: bool) -> None:
        def train(device: str) -> tuple[list[float], Any]:
            model = network().to(device)
            optimizer = optim.SGD(model.parameters(), lr=0.3, momentum=0.5)
            loader = DataLoader(TensorDataset(*blobs()), batch_size=16, shuffle=True, pin_memory=False)
            losses = []
            for _ in range(5):
                for x, t in loader:
                    x, t = x.to(device, non_blocking=True), t.to(device)
                    optimizer.zero_grad()
                    loss = nn.CrossEntropyLoss()(model(x), t)
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
            model.eval()
            with minigrad.no_grad():
                right = model(blobs()[0].to(device)).argmax(1) == blobs()[1].to(device)
            return losses, float(right.double().mean())

        with kernels.disabled() if not on else minigrad.enable_grad():
            losses, accuracy = train("cuda")
        with kernels.disabled():
            expected, expected_accuracy = train("cpu")
        np.testing.assert_allclose(losses, expected, rtol=max(1e-6, self.rtol))
        assert losses[-1] < losses[0] / 4
        assert accuracy == expected_accuracy > 0.9

    def test_files_remember_numbers_not_devices(self, tmp_path: Path) -> None:
        model = network().to("cuda")
        optimizer = optim.Adam(model.parameters())
        model(blobs()[0].to("cuda")).sum().backward()
        optimizer.step()
        minigrad.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, tmp_path / "run")
        minigrad.save(model.state_dict(), tmp_path / "weights")
        loaded = minigrad.load(tmp_path / "run")
        assert loaded["epoch"] == 3
        assert not loaded["model"]["0.weight"].is_cuda
        there = minigrad.load(tmp_path / "weights", map_location="cuda")
        assert all(t.is_cuda for t in there.values())
        again = network().to("cuda")
        again.load_state_dict(loaded["model"])
        second = optim.Adam(again.parameters())
        second.load_state_dict(loaded["optimizer"])
        for p, q in zip(model.parameters(), again.parameters(), strict=True):
            np.testing.assert_array_equal(numbers(p), numbers(q))
            assert second.state[q]["exp_avg"].is_cuda

    def test_logs_take_tensors_of_the_gpu(self, tmp_path: Path) -> None:
        pytest.importorskip("tensorboardX")
        tensorboard = pytest.importorskip("minigrad.utils.tensorboard")
        x = tensor([1.0, 2.0], device="cuda", requires_grad=True)
        with tensorboard.SummaryWriter(tmp_path) as writer:
            writer.add_scalar("loss", x.sum(), 1)
            writer.add_scalars("losses", {"a": x[0], "b": 2.0}, 1)
            writer.add_histogram("weights", x, 1)
            writer.add_image("image", minigrad.rand(3, 4, 4, device="cuda"), 1)
            writer.add_graph(network().to("cuda"), blobs()[0].to("cuda"))
        held = on_host({"a": [x], "b": x._array, "c": 1})
        assert all(type(v) is np.ndarray for v in (held["a"][0], held["b"]))
        assert any(tmp_path.iterdir())

    def test_metrics_take_tensors_of_the_gpu(self) -> None:
        training = pytest.importorskip("minigrad.training")
        truth, found = tensor([0, 1, 1, 0], device="cuda"), tensor([0, 1, 0, 0], device="cuda")
        assert training.accuracy(truth, found) == 0.75
        assert training.confusion_matrix(truth, found).tolist() == [[2, 0], [1, 1]]
