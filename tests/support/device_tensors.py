"""Tensors on ``device="cuda"``: made, moved, changed in place, indexed, printed, copied; and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_suite import OnDevice, numbers

import minigrad
from minigrad import cuda, kernels, ones, tensor, zeros
from minigrad.autograd import Function, detect_anomaly, gradcheck, gradgradcheck
from minigrad.errors import AnomalyError, DeviceError

# What is made, and whether its numbers are random.
MAKERS: dict[str, Callable[[str], Any]] = {
    "tensor": lambda d: tensor([[1.0, 2.0], [3.0, 4.0]], device=d),
    "tensor of an array": lambda d: tensor(np.arange(6.0).reshape(2, 3)[:, ::-1], device=d, dtype=minigrad.float32),
    "as_tensor": lambda d: minigrad.as_tensor([1, 2], device=d),
    "zeros": lambda d: zeros(2, 3, device=d),
    "ones": lambda d: ones(2, 0, device=d, dtype=minigrad.int32),
    "empty": lambda d: minigrad.empty(2, 3, device=d) * 0,
    "full": lambda d: minigrad.full((2, 3), 7, device=d),
    "full bool": lambda d: minigrad.full((2,), True, device=d),
    "arange": lambda d: minigrad.arange(2, 9, 3, device=d),
    "arange of floats": lambda d: minigrad.arange(0.0, 1.0, 0.1, device=d),
    "linspace": lambda d: minigrad.linspace(-1, 1, 7, device=d),
    "eye": lambda d: minigrad.eye(2, 3, device=d),
    "zeros_like": lambda d: minigrad.zeros_like(ones(2, device=d)),
    "ones_like": lambda d: minigrad.ones_like(zeros(2, device=d), dtype=minigrad.int64),
    "full_like": lambda d: minigrad.full_like(ones(2, device=d), 3.0),
    "new_zeros": lambda d: ones(2, device=d).new_zeros(3),
    "new_ones": lambda d: zeros(2, device=d).new_ones(3, 1),
    "new_full": lambda d: ones(2, device=d).new_full((2, 2), 4.0),
    "new_tensor": lambda d: ones(2, device=d).new_tensor([5, 6]),
    "meshgrid": lambda d: minigrad.meshgrid(minigrad.arange(3, device=d), minigrad.arange(2, device=d)),
}
RANDOM: dict[str, Callable[[str], Any]] = {
    "rand": lambda d: minigrad.rand(50, device=d),
    "randn": lambda d: minigrad.randn(5, 10, device=d, dtype=minigrad.float64),
    "randn half": lambda d: minigrad.randn(50, device=d, dtype=minigrad.float16),
    "randint": lambda d: minigrad.randint(2, 9, (50,), device=d),
    "randperm": lambda d: minigrad.randperm(50, device=d),
    "normal": lambda d: minigrad.normal(2.0, 3.0, (50,), device=d),
    "bernoulli": lambda d: minigrad.bernoulli(minigrad.full((50,), 0.5, device=d)),
    "multinomial": lambda d: minigrad.multinomial(ones(60, device=d), 50),
    "rand_like": lambda d: minigrad.rand_like(zeros(50, device=d)),
    "randn_like": lambda d: minigrad.randn_like(zeros(50, device=d)),
    "randint_like": lambda d: minigrad.randint_like(zeros(50, device=d), 9),
    "uniform_": lambda d: zeros(50, device=d).uniform_(1, 2),
    "normal_": lambda d: zeros(50, device=d).normal_(1, 2),
    "bernoulli_": lambda d: zeros(50, device=d).bernoulli_(0.3),
    "random_": lambda d: zeros(50, device=d).random_(0, 9),
    "random_ of integers": lambda d: zeros(50, device=d, dtype=minigrad.int8).random_(),
    "uniform_ half": lambda d: zeros(50, device=d, dtype=minigrad.float16).uniform_(1000, 1001),
    "normal of tensors": lambda d: minigrad.normal(zeros(50, device=d), ones(50, device=d)),
    "exponential_": lambda d: zeros(50, device=d).exponential_(2.0),
    "geometric_": lambda d: zeros(50, device=d).geometric_(0.2),
    "log_normal_": lambda d: zeros(50, device=d).log_normal_(),
    "cauchy_": lambda d: zeros(50, device=d).cauchy_(),
    "dropout": lambda d: minigrad.dropout(ones(50, device=d), 0.5),
    "dropout1d": lambda d: minigrad.nn.functional.dropout1d(ones(50, 3, device=d), 0.5),
    "alpha_dropout": lambda d: minigrad.nn.functional.alpha_dropout(ones(50, device=d), 0.5, True),
    "generator": lambda d: minigrad.rand(50, device=d, generator=minigrad.Generator(d).manual_seed(3)),
}
CHANGES: dict[str, Callable[[Any, str], Any]] = {
    "add_ number": lambda x, d: x.add_(2),
    "add_ alpha": lambda x, d: x.add_(ones(3, 4, device=d), alpha=0.5),
    "-= tensor": lambda x, d: x.__isub__(minigrad.arange(4.0, device=d)),
    "*= number": lambda x, d: x.__imul__(0.5),
    "/= tensor": lambda x, d: x.__itruediv__(minigrad.full((3, 1), 4.0, device=d)),
    "clamp_": lambda x, d: x.clamp_(-0.5, 0.5),
    "exp_": lambda x, d: x.exp_(),
    "pow_": lambda x, d: x.pow_(2),
    "zero_": lambda x, d: x.zero_(),
    "fill_": lambda x, d: x.fill_(3.0),
    "copy_ from the CPU": lambda x, d: x.copy_(minigrad.arange(4.0)),
    "copy_ of a list": lambda x, d: x.copy_([1.0, 2.0, 3.0, 4.0]),
    "masked_fill_": lambda x, d: x.masked_fill_(x > 0, -1.0),
    "scatter_add_": lambda x, d: x.scatter_add_(1, tensor([[0, 0], [1, 3]], device=d), ones(2, 2, device=d)),
    "index_fill_": lambda x, d: x.index_fill_(1, tensor([0, 2], device=d), 9.0),
    "addcmul_": lambda x, d: x.addcmul_(ones(4, device=d), ones(3, 1, device=d), value=0.1),
    "row": lambda x, d: x.__setitem__(0, tensor([1.0, 2.0, 3.0, 4.0], device=d)),
    "element": lambda x, d: x.__setitem__((1, 2), 5),
    "column from a list": lambda x, d: x.__setitem__((slice(None), 1), [1.0, 2.0, 3.0]),
    "rows from the CPU": lambda x, d: x.__setitem__(slice(0, 2), ones(2, 4)),
    "rows by tensor": lambda x, d: x.__setitem__(tensor([2, 0], device=d), zeros(2, 4, device=d)),
    "rows by tensor from an array": lambda x, d: x.__setitem__(tensor([2, 0]), np.ones((2, 4))),
    "mask": lambda x, d: x.__setitem__(x > 0.3, 0.0),
    "mask, values": lambda x, d: x.__setitem__(tensor([True, False, True], device=d), ones(2, 4, device=d)),
    "through a view": lambda x, d: x[1:].transpose(0, 1)[2].mul_(3),
}


class Halves(Function):
    """Two outputs, of which a test uses one."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x[:2] * 2, x[2:] * 3

    @staticmethod
    def backward(ctx: Any, first: Any, second: Any) -> Any:
        return minigrad.cat([first * 2, second * 3])


def mixed() -> tuple[Any, Any]:
    """A tensor on the GPU and one on the CPU."""
    return ones(2, 3, device="cuda"), ones(2, 3)


MIXTURES: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda x, y: x + y,
    "add, the other way": lambda x, y: y + x,
    "compare": lambda x, y: x > y,
    "matmul": lambda x, y: x @ y.T,
    "cat": lambda x, y: minigrad.cat([x, y]),
    "where": lambda x, y: minigrad.where(x > 0, x, y),
    "where by a condition": lambda x, y: minigrad.where(y > 0, x, x),
    "maximum": lambda x, y: minigrad.maximum(x, y),
    "in place": lambda x, y: x.add_(y),
    "in place, the other way": lambda x, y: y.mul_(x),
    "einsum": lambda x, y: minigrad.einsum("ij,kj->ik", x, y),
    "linear": lambda x, y: minigrad.nn.functional.linear(x, y),
    "large linear": lambda x, y: minigrad.nn.functional.linear(zeros(64, 64, device="cuda"), zeros(64, 64)),
    "large linear, the other way": lambda x, y: minigrad.nn.functional.linear(zeros(64, 64), zeros(64, 64).to(x)),
    "mse": lambda x, y: minigrad.nn.functional.mse_loss(x, y),
    "cross entropy": lambda x, y: minigrad.nn.functional.cross_entropy(x, tensor([0, 2])),
    "gather": lambda x, y: x.gather(1, tensor([[0], [1]])),
    "index_select": lambda x, y: x.index_select(1, tensor([0])),
    "embedding": lambda x, y: minigrad.nn.functional.embedding(tensor([0, 1]), x),
    "index of the GPU": lambda x, y: y[tensor([0, 1], device="cuda")],
    "indices of the GPU": lambda x, y: y[:, tensor([0, 1], device="cuda")],
    "gradient": lambda x, y: x.requires_grad_().exp().backward(y),
    "assigned gradient": lambda x, y: setattr(x, "grad", y),
    "conv2d": lambda x, y: minigrad.conv2d(x.reshape(1, 1, 1, -1), y.reshape(1, 1, 1, -1)),
    "conv2d, bias": lambda x, y: minigrad.conv2d(x.reshape(1, 1, -1), x.reshape(1, 1, 1, -1), y.sum().reshape(1)),
}


class TensorsOnDevice(OnDevice):
    @pytest.mark.parametrize("name", MAKERS)
    def test_a_tensor_is_made_there(self, name: str) -> None:
        self.both(MAKERS[name])

    @pytest.mark.parametrize("name", RANDOM)
    def test_random_numbers_repeat_with_the_seed(self, name: str) -> None:
        minigrad.manual_seed(5)
        a, b = RANDOM[name]("cuda"), RANDOM[name]("cuda")
        minigrad.manual_seed(5)
        again = RANDOM[name]("cuda")
        host = RANDOM[name]("cpu")
        assert a.device.type == "cuda"
        assert (a.dtype, a.shape) == (host.dtype, host.shape)
        np.testing.assert_array_equal(numbers(a), numbers(again))
        assert (name == "generator") == (numbers(a) == numbers(b)).all()
        assert abs(float(numbers(a).mean()) - float(numbers(host).mean())) < 2.0 + 0.2 * abs(numbers(host)).max()

    def test_moving_there_and_back_is_part_of_the_graph(self) -> None:
        x = tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = (x.to("cuda") ** 3).cpu()
        g = tensor([0.5, -1.0, 2.0])
        (dx,) = minigrad.autograd.grad(y, x, g, create_graph=True)
        assert (y.device.type, dx.device.type) == ("cpu", "cpu")
        np.testing.assert_allclose(numbers(dx), 3 * numbers(x) ** 2 * numbers(g))
        dx.backward(g)
        np.testing.assert_allclose(numbers(x.grad), 6 * numbers(x) * numbers(g) ** 2)

    def test_a_tensor_that_is_there_already_is_itself(self) -> None:
        x = ones(2, device="cuda")
        assert x.is_cuda
        assert x.to("cuda") is x
        assert x.cuda() is x
        assert x.to(x.device) is x
        assert x.to(ones(1, device="cuda")) is x
        moved = ones(2).to(x.to(minigrad.float64))
        assert (moved.device.type, moved.dtype) == ("cuda", minigrad.float64)
        assert ones(2).to("cuda", minigrad.int64).dtype == minigrad.int64
        assert x.to("cuda", copy=True) is not x

    def test_numpy_refuses_unless_forced(self) -> None:
        x = tensor([1.0, 2.0], device="cuda")
        with pytest.raises(DeviceError, match=r"lives on a GPU; use .cpu\(\).numpy\(\)"):
            x.numpy()
        assert x.requires_grad_().numpy(force=True).tolist() == [1.0, 2.0]
        with pytest.raises((DeviceError, minigrad.GraphError)):
            np.asarray(x)

    def test_it_prints_its_device(self) -> None:
        x = tensor([1.0, 2.0], device="cuda")
        assert repr(x) == "tensor([1., 2.], device='cuda:0')"
        assert repr(x.requires_grad_() * 2) == "tensor([2., 4.], device='cuda:0', grad_fn=<MulBackward>)"
        assert f"{x[1].detach():.2f}" == "2.00"

    def test_pythons_protocols(self) -> None:
        x = tensor([3, 1, 2], device="cuda")
        assert (len(x), x.tolist(), [int(v) for v in x], 2 in x, 7 in x) == (3, [3, 1, 2], [3, 1, 2], True, False)
        assert bool(x[0] > 1)
        assert float(x[0]) == 3.0
        assert [10, 20, 30, 40][x[0]] == 40
        assert x.stride() == (1,)
        assert x.is_contiguous()
        assert isinstance(x.data_ptr(), int)
        assert x.reshape(3, 1).expand(3, 2).contiguous().tolist() == [[3, 3], [1, 1], [2, 2]]
        with pytest.raises(minigrad.ShapeError, match="without a copy"):
            ones(2, 3, device="cuda").T.view(6)

    def test_copies_keep_the_device(self) -> None:
        x = tensor([1.0, 2.0], device="cuda", requires_grad=True)
        x.grad = ones(2, device="cuda")
        for again in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert (again.device.type, again.tolist(), again.requires_grad) == ("cuda", [1.0, 2.0], True)
        assert copy.deepcopy(x).grad.is_cuda

    @pytest.mark.parametrize("name", CHANGES)
    @pytest.mark.parametrize("recorded", [False, True])
    def test_a_change_in_place(self, name: str, recorded: bool) -> None:
        def compute(device: str) -> list[Any]:
            rng = np.random.default_rng(1)
            x = tensor(rng.standard_normal((3, 4)), device=device, dtype=minigrad.float32, requires_grad=recorded)
            y = x * 1.5
            before = y._array
            CHANGES[name](y, device)
            assert y._array is before
            if recorded and y.requires_grad:
                y.backward(tensor(rng.standard_normal((3, 4)), dtype=minigrad.float32, device=device))
            return [y, x.grad]

        self.both(compute)

    def test_a_step_by_hand_is_in_place(self) -> None:
        w = tensor([1.0, 2.0], device="cuda", requires_grad=True)
        memory = w._array
        (w * w).sum().backward()
        with minigrad.no_grad():
            w -= 0.1 * w.grad
        assert w._array is memory
        np.testing.assert_allclose(numbers(w), [0.8, 1.6], rtol=1e-6)
        w.grad.zero_()
        assert w.grad.tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("index", [5, -4, [0, 3], [[0], [-4]]])
    def test_a_place_outside_is_refused(self, index: Any) -> None:
        x = zeros(3, 2, device="cuda")
        for where in (tensor(index, device="cuda"), tensor(index), (..., tensor(index, device="cuda"), slice(None))):
            with pytest.raises(IndexError, match=r"out of (range|bounds) for axis 0"):
                x[where]
            with pytest.raises(IndexError, match=r"out of (range|bounds) for axis 0"):
                x[where] = 1.0
        assert not x.any()
        assert x[tensor([-3, 2], device="cuda")].shape == (2, 2)
        assert x[..., tensor([-2, 1], device="cuda")].shape == (3, 2)
        assert x[tensor([True, False, True], device="cuda"), tensor([0, 1], device="cuda")].shape == (2,)

    @pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"])
    def test_adding_at_places_counts_each(self, dtype: str) -> None:
        kind = getattr(minigrad, dtype)

        def compute(device: str) -> Any:
            places = tensor([[0, 0, 2, 0]], device=device)
            return ones(1, 4, dtype=kind, device=device).scatter_add(1, places, minigrad.full_like(places, 3).to(kind))

        self.both(compute)

    def test_whole_parts_and_rests_are_exact(self) -> None:
        a = [1.0, -1.0, 0.3, 7.5, -7.5, 0.0, 1.0, -1.0, 1.0, -1.0, 0.0, float("inf"), float("nan"), 1e16, 5.0]
        b = [0.1, 0.1, -0.1, 2.5, 2.5, 3.0, float("inf"), float("inf"), 0.0, 0.0, 0.0, 2.0, 1.0, 3.0, float("nan")]

        def compute(device: str) -> list[Any]:
            x, y = (tensor(v, dtype=minigrad.float64, device=device) for v in (a, b))
            return [x // y, x % y, x // 0.1, x % 0.1, 1.0 // y, 1.0 % y, minigrad.div(x, y, rounding_mode="trunc")]

        self.both(compute)

    def test_scalars_have_their_place_too(self) -> None:
        def compute(device: str) -> list[Any]:
            x = tensor(2.0, device=device)
            kept = [*x.max(0), *x.median(0), *x.sort(), *x.topk(1), x.argsort(), x.cumsum(0), x.softmax(0)]
            return [*kept, minigrad.pow(2.0, x), x**x, x.std(correction=0), minigrad.where(x > 1, 1.0, 0.0)]

        self.both(compute)

    @pytest.mark.parametrize("name", MIXTURES)
    @pytest.mark.parametrize("on", [True, False])
    def test_tensors_of_two_devices_do_not_mix(self, name: str, on: bool) -> None:
        x, y = mixed()
        with (
            pytest.raises(DeviceError, match=r"(?s)cpu.*cuda|cuda.*cpu"),
            kernels.disabled() if not on else minigrad.enable_grad(),
        ):
            MIXTURES[name](x, y)
        assert x.sum().item() == y.sum().item() == 6.0  # nothing half done

    def test_a_users_op_with_an_output_unused(self) -> None:
        x = ones(4, device="cuda", requires_grad=True)
        Halves.apply(x)[1].backward(tensor([1.0, 2.0], device="cuda"))
        assert x.grad.tolist() == [0.0, 0.0, 3.0, 6.0]

    def test_a_split_with_a_piece_unused(self) -> None:
        x = ones(4, device="cuda", requires_grad=True)
        minigrad.var_mean(x)[0].backward()
        x.split(2)[1].backward(tensor([1.0, 2.0], device="cuda"))
        assert x.grad.tolist() == [0.0, 0.0, 1.0, 2.0]

    def test_gradients_can_be_checked(self) -> None:
        x = tensor([0.3, -0.7], dtype=minigrad.float64, device="cuda", requires_grad=True)
        assert gradcheck(lambda t: t.sin() * t.sum(), x)
        assert gradgradcheck(lambda t: t.sin() * t.sum(), x)

        class Wrong(Function):
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                return x * 2

            @staticmethod
            def backward(ctx: Any, dy: Any) -> Any:
                return dy * 3

        with pytest.raises(RuntimeError, match="is wrong in 2 of 2 elements"):
            gradcheck(Wrong.apply, x)

    def test_anomalies_are_named(self) -> None:
        x = tensor([1.0, -1.0], device="cuda", requires_grad=True)
        with detect_anomaly(), pytest.raises(AnomalyError, match="Log: forward made a NaN"):
            x.log()
        with detect_anomaly(), pytest.raises(AnomalyError, match="holds a NaN already, at index"):
            x + tensor([0.0, float("nan")], device="cuda")
        with detect_anomaly(), pytest.raises(AnomalyError, match=r"backward made an? infinity"):
            zeros(2, device="cuda").requires_grad_().sqrt().backward(ones(2, device="cuda"))

    def test_what_the_device_tells_of_itself(self) -> None:
        assert cuda.is_available()
        assert cuda.device_count() >= 1
        assert cuda.get_device_name()
        before = cuda.memory_allocated()
        x = zeros(1000, device="cuda")
        assert cuda.memory_allocated() >= before + 4000
        del x
        cuda.synchronize()
        cuda.empty_cache()
        assert cuda.memory_allocated() <= before
        with pytest.raises(NotImplementedError, match="state of a GPU generator"):
            minigrad.Generator("cuda").get_state()
