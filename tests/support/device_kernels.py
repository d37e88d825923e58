"""What the GPU kernels must do, whatever runs them: a GPU (``test_cuda.py``) or CuPy's double
(``kernels/machine/test_gpu.py``). They are held against the textbook on the CPU, with random upstream gradients.

Shapes are small: on the double every thread of every block is a fiber of one CPU thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from device_suite import numbers
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_suite import flat

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels, nn, optim
from minigrad.kernels import Kernel
from minigrad.kernels.conv import gpu as conv
from minigrad.kernels.machine import gpu as launch
from minigrad.kernels.optim import gpu as optim_kernels
from minigrad.kernels.pooling import gpu as pooling

DTYPES = ("float32", "float64")

# (N, C, H, W), O, (KH, KW), and settings
CONVOLUTIONS: dict[str, tuple[tuple[int, ...], int, tuple[int, int], dict[str, Any]]] = {
    "one number": ((1, 1, 1, 1), 1, (1, 1), {}),
    "as large as the image": ((2, 3, 4, 5), 2, (4, 5), {}),
    "LeNet's first": ((3, 1, 12, 12), 6, (5, 5), {}),
    "3 x 3 with padding": ((2, 3, 8, 9), 5, (3, 3), {"padding": 1}),
    "1 x 1, deep": ((2, 70, 3, 3), 33, (1, 1), {}),
    "two tiles of rows": ((1, 4, 5, 5), 70, (3, 3), {"padding": 1}),
    "20 rows of a tile of 32": ((2, 2, 6, 6), 20, (3, 3), {}),
    "stride": ((2, 3, 9, 11), 4, (3, 3), {"stride": 2, "padding": 1}),
    "stride larger than the kernel": ((2, 3, 11, 10), 4, (2, 1), {"stride": (3, 4)}),
    "a rest at the border": ((1, 2, 8, 8), 3, (3, 3), {"stride": (2, 3)}),
    "all different": ((2, 4, 11, 9), 6, (3, 2), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 3)}),
    "dilation": ((2, 2, 9, 9), 3, (3, 3), {"dilation": 2, "padding": 2}),
    "padding wider than the kernel": ((1, 2, 3, 4), 2, (2, 2), {"padding": 3}),
    "groups": ((2, 6, 7, 6), 9, (3, 3), {"groups": 3, "padding": 1}),
    "depthwise": ((2, 5, 8, 7), 5, (3, 3), {"groups": 5, "padding": 1, "stride": 2}),
    "depthwise, two each": ((2, 3, 6, 6), 6, (3, 3), {"groups": 3, "dilation": 2}),
    "more channels than a strip is deep": ((1, 40, 4, 4), 8, (3, 3), {"padding": 1}),
    "many places": ((3, 2, 20, 21), 3, (3, 3), {"padding": 1}),
    "a bias summed in parts": ((3, 1, 41, 41), 2, (1, 1), {}),
}

# (KH, KW) and settings of pools, on planes of 9 x 8
POOLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "2 x 2": (2, {}),
    "overlapping": (3, {"stride": 1}),
    "overlapping with padding": (3, {"stride": 2, "padding": 1}),
    "apart": ((2, 1), {"stride": (3, 4)}),
    "a last window that reaches beyond": (3, {"stride": 2, "ceil_mode": True}),
    "beyond the padding": ((2, 3), {"stride": (2, 3), "padding": (1, 1), "ceil_mode": True}),
    "the whole plane": ((9, 8), {}),
}

# Optimizers, and settings that between them reach every line of their kernels
STEPS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"weight_decay": 0.1, "maximize": True}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"weight_decay": 0.1, "momentum": 0.8, "centered": True}),
    ("RMSprop", {"maximize": True}),
    ("Adagrad", {"lr_decay": 0.1}),
    ("Adagrad", {"weight_decay": 0.1, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"weight_decay": 0.1, "maximize": True}),
]

BOUNDS = {"float32": (1e-4, 2e-5), "float64": (1e-10, 1e-12)}  # rtol, atol


def ran_on_gpu(y: Any) -> bool:
    """Whether a GPU kernel made this tensor, as far as the graph remembers; views of its result count."""
    node = y._node
    while node is not None:
        node = getattr(node, "node", node)
        if isinstance(node.kernel, Kernel) and ".gpu" in node.kernel.compute.__module__:
            return True
        node = next((e for e in node.edges if hasattr(e, "edges") or hasattr(e, "node")), None)
    return False


def run(device: str, call: Callable[..., Any], arrays: Sequence[Any], grads: Sequence[bool]) -> tuple[list[Any], bool]:
    """(the outputs and all gradients under a random upstream gradient, whether a GPU kernel ran)."""
    rng = np.random.default_rng(7)
    leaves = [
        None if a is None else minigrad.tensor(a, device=device).requires_grad_(g)
        for a, g in zip(arrays, grads, strict=True)
    ]
    outs = flat(call(*leaves))
    through = [y for y in outs if y.requires_grad]
    on_gpu = any(ran_on_gpu(y) for y in through)
    upstream = [minigrad.tensor(np.asarray(rng.standard_normal(y.shape)), device=device).to(y.dtype) for y in through]
    if through:
        minigrad.autograd.backward(through, upstream)
    return [*map(numbers, outs), *[None if t is None else numbers(t.grad) for t in leaves]], on_gpu


def agrees(
    call: Callable[..., Any], arrays: Sequence[Any], grads: Sequence[bool] | None = None, on_gpu: bool = True
) -> list[Any]:
    """Hold ``call`` on the GPU's kernels against the textbook; returns the GPU's numbers."""
    wanted = [a is not None and a.dtype.kind == "f" for a in arrays] if grads is None else grads
    got, ran = run("cuda", call, arrays, wanted)
    with kernels.disabled():
        want, _ = run("cpu", call, arrays, wanted)
    assert ran is on_gpu
    dtype = next(str(a.dtype) for a in arrays if a is not None)
    rtol, atol = BOUNDS[dtype]
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert (a is None) == (b is None), i
        if a is not None:
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            scale = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol * scale, err_msg=f"result {i}")
    return got


def normal(rng: np.random.Generator, dtype: str, *shapes: tuple[int, ...] | None) -> list[Any]:
    """Normal numbers in each of the shapes; None where there is none."""
    return [None if shape is None else rng.standard_normal(shape).astype(dtype) for shape in shapes]


class KernelsOnDevice:
    """Sub-classes see to it that ``device="cuda"`` works."""

    # --- convolution -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", CONVOLUTIONS)
    def test_convolution(self, name: str, dtype: str) -> None:
        x, o, kernel, options = CONVOLUTIONS[name]
        shapes = x, (o, x[1] // options.get("groups", 1), *kernel), (o,)
        arrays = normal(np.random.default_rng(1), dtype, *shapes)
        agrees(lambda x, w, b: F.conv2d(x, w, b, **options), arrays)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", CONVOLUTIONS)
    def test_transposed_convolution(self, name: str, dtype: str) -> None:
        x, o, kernel, options = CONVOLUTIONS[name]
        if name == "padding wider than the kernel":
            options = {"padding": 1}
        groups = options.get("groups", 1)
        shapes = (x[0], o, *x[2:]), (o, x[1] // groups, *kernel), (x[1],)
        arrays = normal(np.random.default_rng(2), dtype, *shapes)
        agrees(lambda x, w, b: F.conv_transpose2d(x, w, b, **options), arrays)

    @given(st.data())
    @settings(max_examples=30)
    def test_any_convolution(self, data: st.DataObject) -> None:
        def pair(low: int, high: int) -> tuple[int, int]:
            return data.draw(st.integers(low, high)), data.draw(st.integers(low, high))

        n, (c, o), groups = data.draw(st.integers(1, 3)), pair(1, 3), data.draw(st.integers(1, 3))
        size, kernel, stride, dilation, padding = pair(1, 9), pair(1, 4), pair(1, 3), pair(1, 3), pair(0, 3)
        assume(all(n + 2 * p > d * (k - 1) for n, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
        shapes = (n, c * groups, *size), (o * groups, c, *kernel), data.draw(st.sampled_from([None, (o * groups,)]))
        dtype = data.draw(st.sampled_from(DTYPES))
        arrays = normal(np.random.default_rng(0), dtype, *shapes)
        agrees(lambda x, w, b: F.conv2d(x, w, b, stride, padding, dilation, groups), arrays)

    def test_one_dimension(self) -> None:
        arrays = normal(np.random.default_rng(3), "float32", (2, 4, 11), (6, 2, 3), (6,))
        agrees(lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=2, groups=2), arrays)

    def test_arrays_that_do_not_lie_in_order(self) -> None:
        x, w = normal(np.random.default_rng(4), "float32", (6, 7, 3, 2), (3, 3, 3, 4))
        agrees(lambda x, w: F.conv2d(x.permute(3, 2, 0, 1), w.permute(3, 0, 1, 2).flip(2)), [x, w])
        agrees(lambda x, w: F.conv2d(x.permute(3, 2, 0, 1), w.permute(3, 0, 1, 2)).transpose(1, 3), [x, w])

    @pytest.mark.parametrize("needs", [(True, False, False), (False, True, False), (False, False, True)])
    def test_only_the_gradients_that_are_asked_for(self, needs: tuple[bool, ...]) -> None:
        arrays = normal(np.random.default_rng(5), "float32", (2, 3, 6, 6), (4, 3, 3, 3), (4,))
        agrees(lambda x, w, b: F.conv2d(x, w, b), arrays, needs)
        arrays = normal(np.random.default_rng(5), "float32", (2, 3, 6, 6), (3, 4, 3, 3), (4,))
        agrees(lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, output_padding=1), arrays, needs)

    def test_second_derivatives_of_convolution(self) -> None:
        rng = np.random.default_rng(6)
        arrays = normal(rng, "float64", (2, 3, 7, 6), (4, 3, 3, 3), (2, 4, 4, 3), (4, 3, 3, 3))

        def slope(x: Any, w: Any, dy: Any, ddw: Any) -> Any:
            y = F.conv2d(x, w, stride=2, padding=1)
            dx, dw = minigrad.autograd.grad(y, (x, w), dy, create_graph=True)
            return (dx * dx).sum() + (dw * ddw).sum()

        results = []
        for device in ("cpu", "cuda"):
            x, w, dy, ddw = (minigrad.tensor(a, device=device, requires_grad=True) for a in arrays)
            slope(x, w, dy, ddw).backward()
            results.append([numbers(t.grad) for t in (x, w, dy, ddw)])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)

    def test_a_gradient_in_many_parts_repeats(self) -> None:
        """2,880 places: the weight's gradient is cut into parts, which must be added in a fixed order."""
        arrays = normal(np.random.default_rng(7), "float32", (2, 1, 38, 42), (2, 1, 3, 3))
        first, second = (agrees(lambda x, w: F.conv2d(x, w), arrays) for _ in range(2))
        for a, b in zip(first, second, strict=True):
            assert a.tobytes() == b.tobytes()

    # --- pooling -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", POOLS)
    def test_max_pool(self, name: str, dtype: str) -> None:
        kernel, options = POOLS[name]
        arrays = normal(np.random.default_rng(8), dtype, (2, 3, 9, 8))
        agrees(lambda x: F.max_pool2d(x, kernel, **options), arrays)
        agrees(lambda x: F.max_pool2d(x, kernel, **options, return_indices=True), arrays)

    def test_max_pool_of_spread_windows(self) -> None:
        arrays = normal(np.random.default_rng(9), "float32", (2, 9, 8))
        agrees(lambda x: F.max_pool2d(x, (3, 2), 1, 1, (2, 3)), arrays)
        agrees(lambda x: F.max_pool1d(x, 3, 2, 1, 2), arrays)

    def test_max_pool_of_equals_infinities_and_nan(self) -> None:
        rng = np.random.default_rng(10)
        x = rng.integers(0, 3, (3, 2, 9, 8)).astype(np.float32)
        agrees(lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True), [x])
        x[0, 0, :3, :3], x[1, 0, 2:5, 2:5], x[1, 1, 4, 4] = -np.inf, np.nan, np.inf
        agrees(lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True), [x])

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", POOLS)
    def test_avg_pool(self, name: str, dtype: str) -> None:
        kernel, options = POOLS[name]
        arrays = normal(np.random.default_rng(11), dtype, (2, 3, 9, 8))
        for more in ({}, {"count_include_pad": False}, {"divisor_override": 5}):
            agrees(lambda x, more=more: F.avg_pool2d(x, kernel, **options, **more), arrays)

    @pytest.mark.parametrize("p", [1, 2, 3, 1.5])
    @pytest.mark.parametrize("name", [name for name in POOLS if "padding" not in POOLS[name][1]])
    def test_lp_pool(self, name: str, p: float) -> None:
        kernel, options = POOLS[name]
        for dtype in DTYPES:
            (x,) = normal(np.random.default_rng(12), dtype, (2, 3, 9, 8))
            agrees(lambda x: F.lp_pool2d(x, p, kernel, **options), [abs(x) + 0.1])
            x[:, 0] = 0  # windows of zeros
            agrees(lambda x: F.lp_pool2d(x, p, kernel, **options), [x])

    def test_windows_that_share_a_plane_out(self) -> None:
        arrays = normal(np.random.default_rng(13), "float32", (2, 3, 9, 8))
        agrees(lambda x: F.adaptive_avg_pool2d(x, 1), arrays)
        agrees(lambda x: F.adaptive_avg_pool2d(x, 5), arrays, on_gpu=False)

    # --- batch norm --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("shape", [(2, 1), (64, 5), (2, 3, 4), (3, 4, 5, 6), (1, 2, 3, 3), (5, 2, 33, 32)])
    def test_batch_norm(self, shape: tuple[int, ...], training: bool, dtype: str) -> None:
        rng, c = np.random.default_rng(14), (shape[1],)
        x, weight, bias, mean = normal(rng, dtype, shape, c, c, c)
        var = rng.uniform(0.5, 2.0, c).astype(dtype)
        arrays = [x * 3 + 10, weight, bias, mean, var]

        def norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any) -> Any:
            mean, var = mean.clone(), var.clone()
            return F.batch_norm(x, mean, var, weight, bias, training, 0.3, 1e-3), mean, var

        for needs in ((True, True, True), (True, False, False), (False, True, False), (False, False, True)):
            agrees(norm, arrays, (*needs, False, False))
        if training:
            agrees(lambda x: F.batch_norm(x, None, None, training=True), [x])
            agrees(lambda x, b: F.batch_norm(x, None, None, None, b, training=True), [x, bias])

    def test_batch_norm_far_from_zero(self) -> None:
        """The square of the mean is 10⁸ times the variance: E[x²] − μ² would have no digit left in float32."""
        (x,) = normal(np.random.default_rng(15), "float32", (4, 2, 40, 40))
        x = x + np.float32(1e4)
        t = minigrad.tensor(x, device="cuda")
        var = minigrad.ones(2, device="cuda")
        y = F.batch_norm(t, minigrad.zeros(2, device="cuda"), var, training=True, momentum=1.0, eps=1e-12)
        exact = x.astype(np.float64)
        np.testing.assert_allclose(numbers(var), exact.var((0, 2, 3), ddof=1), rtol=1e-4)
        exact = (exact - exact.mean((0, 2, 3), keepdims=True)) / exact.std((0, 2, 3), keepdims=True)
        np.testing.assert_allclose(numbers(y), exact, atol=2e-3)

    # --- numbers by themselves ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("f", [F.relu, F.sigmoid, F.tanh])
    def test_an_activation(self, f: Callable[..., Any], dtype: str) -> None:
        (x,) = normal(np.random.default_rng(20), dtype, (3, 5, 40))
        x[0, 0, :6] = 0.0, -0.0, np.inf, -np.inf, 1000.0, -1000.0
        agrees(f, [x])
        agrees(lambda x: f(x.transpose(0, 2)).transpose(1, 2), [x])
        x[1, 1, 1] = np.nan
        assert np.isnan(numbers(f(minigrad.tensor(x, device="cuda")))).sum() == 1

    def test_a_layers_relu_in_a_sequential_is_a_kernel_too(self) -> None:
        for layer, shape in (
            (nn.Linear(4, 3), (2, 4)),
            (nn.Conv2d(2, 3, 3), (1, 2, 5, 5)),
            (nn.BatchNorm1d(4), (5, 4)),
        ):
            net = nn.Sequential(layer, nn.ReLU()).to("cuda")
            y = net(minigrad.randn(*shape, device="cuda"))
            assert y._node.kernel.compute.__module__ == "minigrad.kernels.pointwise.gpu"

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize(("name", "settings"), STEPS, ids=lambda v: "-".join(v) if isinstance(v, dict) else v)
    def test_an_optimizers_steps(self, name: str, settings: dict[str, Any], dtype: str) -> None:
        rng = np.random.default_rng(21)
        start, *gradients = normal(rng, dtype, *[(7, 50)] * 5)
        ends = []
        for device, on in (("cuda", True), ("cpu", False)):
            p = nn.Parameter(minigrad.tensor(start, device=device))
            optimizer = getattr(optim, name)([p], lr=0.1, **settings)
            before, kernels.switch.on = kernels.switch.on, on
            try:
                for g in gradients:
                    p.grad = minigrad.tensor(np.ascontiguousarray(g.T), device=device).T  # not in order
                    optimizer.step()
            finally:
                kernels.switch.on = before
            kept = [v for v in optimizer.state[p].values() if isinstance(v, minigrad.Tensor)]
            ends.append([numbers(t) for t in (p, *kept)])
            np.testing.assert_array_equal(numbers(p.grad), gradients[-1])
        rtol, atol = BOUNDS[dtype]
        for a, b in zip(*ends, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize(("name", "settings"), STEPS, ids=lambda v: "-".join(v) if isinstance(v, dict) else v)
    def test_an_optimizers_step_over_the_whole_range(self, name: str, settings: dict[str, Any], dtype: str) -> None:
        root, largest = float(np.finfo(dtype).max) ** 0.5, np.finfo(dtype).max
        one_sided = [0, 1e-3, 1, root / 3, root, root * 2, largest / 4, np.inf, np.nan]
        values = np.array([sign * v for v in one_sided for sign in (1, -1)]).astype(dtype)
        start, g = (np.ascontiguousarray(a) for a in np.meshgrid([1.0, -2.0, 0.0], values))
        ends = []
        for device, on in (("cuda", True), ("cpu", False)):
            p = nn.Parameter(minigrad.tensor(start.astype(dtype), device=device))
            optimizer = getattr(optim, name)([p], lr=0.1, **settings)
            before, kernels.switch.on = kernels.switch.on, on
            try:
                for shift in (0, 5):
                    p.grad = minigrad.tensor(np.roll(g, shift, axis=0).astype(dtype), device=device)
                    optimizer.step()
            finally:
                kernels.switch.on = before
            kept = [v for v in optimizer.state[p].values() if isinstance(v, minigrad.Tensor)]
            ends.append([numbers(t) for t in (p, *kept)])
        rtol, atol = BOUNDS[dtype]
        for a, b in zip(*ends, strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)

    def test_an_optimizers_step_is_one_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[str] = []
        start = optim_kernels.launch_each
        monkeypatch.setattr(optim_kernels, "launch_each", lambda *args: calls.append(args[1]) or start(*args))
        model = nn.Linear(4, 3, device="cuda")
        model(minigrad.randn(5, 4, device="cuda")).backward(minigrad.randn(5, 3, device="cuda"))
        optim.Adam(model.parameters()).step()
        optim.SGD(model.parameters(), lr=0.1).step()
        with kernels.disabled():
            optim.Adam(model.parameters()).step()
        assert calls == ["adam"] * 2 + ["sgd"] * 2

    # --- together ----------------------------------------------------------------------------------------------------

    def test_a_network_learns_as_on_the_cpu(self) -> None:
        rng = np.random.default_rng(16)
        images, classes = rng.standard_normal((6, 1, 12, 12)).astype(np.float32), np.arange(6) % 3
        images += np.float32(2) * np.sin(np.arange(12) * (classes[:, None, None, None] + 1)).astype(np.float32)  # waves
        losses = {}
        for device in ("cpu", "cuda"):
            minigrad.manual_seed(0)
            model = nn.Sequential(
                nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(6, 3),
            ).to(device)  # fmt: skip
            optimizer = optim.SGD(model.parameters(), lr=0.5)
            x, target = minigrad.tensor(images, device=device), minigrad.tensor(classes, device=device)
            losses[device] = []
            before, kernels.switch.on = kernels.switch.on, device == "cuda"
            try:
                for _ in range(8):
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(x), target)
                    loss.backward()
                    optimizer.step()
                    losses[device].append(loss.item())
                model.eval()
                losses[device].append(F.cross_entropy(model(x), target).item())
            finally:
                kernels.switch.on = before
        assert losses["cpu"][-2] < 0.7 * losses["cpu"][0]
        np.testing.assert_allclose(losses["cuda"], losses["cpu"], rtol=1e-4)

    def test_what_kernels_do_not_take_runs_by_the_textbook(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rng = np.random.default_rng(17)
        x, w = normal(rng, "float32", (2, 6, 6, 6), (6, 2, 3, 3))
        empty, half = minigrad.tensor(x[:0], device="cuda"), minigrad.tensor(x, device="cuda").half()
        assert F.conv2d(empty, minigrad.tensor(w, device="cuda"), groups=3).shape == (0, 6, 4, 4)
        assert F.max_pool2d(half, 2).dtype == minigrad.float16
        with kernels.disabled():
            agrees(lambda x, w: F.conv2d(x, w, groups=3), [x, w], on_gpu=False)
        with monkeypatch.context() as patch:  # more groups than a grid has layers
            patch.setattr(conv, "MOST_BLOCKS", 2)
            agrees(lambda x, w: F.conv2d(x, w, groups=3), [x, w], on_gpu=False)
            agrees(lambda x, w: F.conv_transpose2d(x, w, groups=3), [x, w], on_gpu=False)
        for module in (conv, launch, pooling):  # more elements than the indices can count
            monkeypatch.setattr(module, "LARGEST", 300)
        agrees(lambda x: F.max_pool2d(x, 2), [x], on_gpu=False)
        agrees(lambda x: F.batch_norm(x, None, None, training=True), [x], on_gpu=False)
        agrees(lambda x, w: F.conv2d(x, w, groups=3), [x, w], on_gpu=False)

    def test_errors_are_those_of_the_cpu(self) -> None:
        x, w = normal(np.random.default_rng(19), "float32", (2, 3, 6, 6), (4, 3, 3, 3))
        with pytest.raises(minigrad.DeviceError, match="different devices"):
            F.conv2d(minigrad.tensor(x, device="cuda"), minigrad.tensor(w))
        with pytest.raises(minigrad.ShapeError, match="3 channels"):
            F.conv2d(minigrad.tensor(x, device="cuda"), minigrad.tensor(w[:, :2], device="cuda"))
        with pytest.raises(minigrad.ShapeError):
            F.batch_norm(minigrad.tensor(x, device="cuda"), None, None, minigrad.ones(4, device="cuda"), training=True)
        with pytest.raises(ValueError):
            F.max_pool2d(minigrad.tensor(x, device="cuda"), 7)

    @pytest.mark.parametrize(("forward", "backward"), [(True, False), (False, True)])
    def test_either_backward_follows_either_forward(self, forward: bool, backward: bool) -> None:
        rng = np.random.default_rng(18)
        x, w, c = normal(rng, "float32", (2, 3, 8, 8), (4, 3, 3, 3), (4,))

        def net(x: Any, w: Any, c: Any) -> Any:
            y = F.batch_norm(F.conv2d(x, w, padding=1), None, None, c, c, training=True)
            y = F.avg_pool2d(F.max_pool2d(y, 3, 2, 1), 3, 1, 1)
            y = F.conv_transpose2d(F.lp_pool2d(y, 2, 2), w, stride=2)
            return F.batch_norm(y, c[:3] * 0, c[1:] * 0 + 1, c[:3], None)

        results = []
        before = kernels.switch.on
        for device in ("cpu", "cuda"):
            leaves = [minigrad.tensor(a, device=device, requires_grad=True) for a in (x, w, c)]
            try:
                kernels.switch.on = forward and device == "cuda"
                y = net(*leaves)
                upstream = minigrad.tensor(np.random.default_rng(0).standard_normal(y.shape).astype(np.float32))
                kernels.switch.on = backward and device == "cuda"
                y.backward(upstream.to(device))
            finally:
                kernels.switch.on = before
            results.append([numbers(t.grad) for t in leaves])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
