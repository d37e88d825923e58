"""Which kernel serves an op depends on its arguments, never on what the process did before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Every op that has a kernel, on arrays of a few elements; what each gives, and the gradients of a random direction.
SMALL = """
import sys
import numpy as np
import minigrad, minigrad.nn.functional as F
from minigrad import optim

def t(*shape):
    values = np.random.default_rng(sum(shape)).standard_normal(shape).astype(TYPE)
    return minigrad.tensor(values, requires_grad=True)

def p(*shape):
    return t(*shape).sigmoid().detach().requires_grad_()

target = minigrad.tensor([1, 0, 2])
CALLS = [
    lambda: t(3, 4) + t(4), lambda: t(3) - t(3), lambda: t(3) * t(3), lambda: t(3) / t(3), lambda: t(3, 2).sum(0),
    lambda: t(5).sum(), lambda: t(3, 4).mean(), lambda: p(3).log(), lambda: p(3).sqrt(), lambda: t(3).exp(),
    lambda: t(3).tanh(), lambda: t(3).relu(), lambda: t(3).sigmoid(), lambda: F.silu(t(3)), lambda: F.gelu(t(3)),
    lambda: F.softmax(t(3, 4), 1), lambda: F.log_softmax(t(3, 4), 1), lambda: F.cross_entropy(t(3, 4), target),
    lambda: F.mse_loss(t(3, 4), t(4, 3).T), lambda: F.mse_loss(t(3), t(3) + 1),
    lambda: F.binary_cross_entropy(p(3), p(3).detach()),
    lambda: F.binary_cross_entropy_with_logits(12 * t(3), p(3).detach()),
    lambda: t(3, 4) @ t(4, 2), lambda: F.linear(t(3, 4), t(2, 4), t(2)), lambda: F.linear(t(2, 3, 4), t(2, 4), t(2)),
    lambda: minigrad.einsum("ij,jk->ik", t(3, 4), t(4, 5)), lambda: F.normalized_swish(t(3)),
    lambda: F.conv2d(t(1, 2, 5, 5), t(3, 2, 3, 3)), lambda: F.conv_transpose2d(t(1, 2, 3, 3), t(2, 3, 3, 3)),
    lambda: F.max_pool2d(t(1, 1, 4, 4), 2), lambda: F.avg_pool2d(t(1, 1, 4, 4), 2),
    lambda: F.lp_pool2d(p(1, 1, 4, 4), 2, 2), lambda: F.adaptive_max_pool2d(t(1, 1, 5, 5), 2),
    lambda: F.adaptive_avg_pool2d(t(1, 1, 5, 5), 2),
    lambda: F.batch_norm(t(3, 2), None, None, t(2), t(2), True),
    lambda: F.batch_norm(t(3, 2), minigrad.zeros(2), minigrad.ones(2), t(2), t(2)),
    lambda: F.layer_norm(t(3, 4), (4,)), lambda: F.rms_norm(t(3, 4), (4,)), lambda: F.group_norm(t(1, 4, 3), 2),
]
"""

ASKED_FOR = (
    SMALL
    + """
from minigrad import kernels
for n in (63, 64, 127, 128, 1023, 1024, 1 << 18):  # where some kernel begins
    CALLS += [
        lambda n=n, f=f: f(t(n))
        for f in (
            F.relu, F.sigmoid, F.tanh, F.silu, F.gelu, F.normalized_swish, minigrad.exp, minigrad.sum, minigrad.mean,
            lambda x: x + x, lambda x: x.reshape(1, -1) + x, lambda x: x * x, lambda x: x / x,
            lambda x: F.softmax(x.reshape(1, -1), 1), lambda x: F.cross_entropy(x.reshape(1, -1), target[:1]),
        )
    ]
asked, served = set(), set()

class Asked(kernels.Kernel):
    # Is never loaded, but notes when it would be.
    def load(self):
        asked.add((number, self.file, self.name))
        self.compute = lambda *args: NotImplemented
        return self

class Served(kernels.Kernel):
    # Notes what it serves.
    def load(self):
        super().load()
        compute = self.compute
        def noted(*args):
            result = compute(*args)
            if result is not NotImplemented:
                served.add((number, self.file, self.name))
            return result
        self.compute = noted
        return self

def of(cls, op):
    file, _, name = op.kernel_name.rpartition(".")
    return cls(file, name, "cpu")

def below(cls):
    return [cls, *(c for sub in cls.__subclasses__() for c in below(sub))]

ops = [cls for cls in below(minigrad.autograd.function.Op) if cls.kernel_name]
for number, call in enumerate(CALLS):
    for op in ops:
        op.on_cpu = of(Asked, op)
    call()
for op in ops:
    op.on_cpu = of(Served, op)
    op.on_cpu.load()
for number, call in enumerate(CALLS):
    call()
assert len(served) > 40 or TYPE != "float32", served
assert served <= asked, served - asked
"""
)

BITS = (
    SMALL
    + """
if len(sys.argv) > 1:
    minigrad.ones(512, 512, requires_grad=True).sigmoid().matmul(minigrad.ones(512, 512)).sum().backward()
for number, call in enumerate(CALLS):
    y = call()
    y.backward(minigrad.tensor(np.random.default_rng(9).standard_normal(y.shape).astype(TYPE)))
    print(number, y.detach().numpy().tobytes().hex())
for rule in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Adadelta):
    w = t(3)
    optimizer = rule([w], lr=0.1)
    for _ in range(3):
        w.grad = minigrad.tensor(np.random.default_rng(9).standard_normal(3).astype(TYPE))
        optimizer.step()
    print(rule.__name__, w.detach().numpy().tobytes().hex())
"""
)


def run(program: str, *arguments: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_kernel_that_serves_an_op_is_loaded_for_it(dtype: str) -> None:
    run(f"TYPE = {dtype!r}\n{ASKED_FOR}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_arrays_give_the_same_bits_before_and_after_large_ones(dtype: str) -> None:
    fresh, late = (run(f"TYPE = {dtype!r}\n{BITS}", *arguments) for arguments in ((), ("after a large op",)))
    assert fresh == late
    assert len(fresh) > 40


@pytest.mark.parametrize("rule", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"])
def test_an_optimizer_of_few_numbers_loads_its_kernels_too(rule: str) -> None:
    program = f"""
import sys, minigrad
w = minigrad.ones(2, requires_grad=True)
w.grad = minigrad.tensor([3e19, 1.0])
rule = minigrad.optim.{rule}([w], lr=0.1)
rule.step()
print("minigrad.kernels.optim.rules" in sys.modules)
"""
    assert run(program) == ["True"]


@pytest.mark.parametrize(
    "call", ["a @ b", "minigrad.nn.functional.linear(a, b.T)", "minigrad.einsum('ij,jk->ik', a, b)"]
)
def test_a_product_by_blas_gives_the_same_bits_before_and_after_kernels_ran(call: str) -> None:
    """Its rounding depends on its threads, of which loading the kernels leaves one."""
    program = f"""
import minigrad
minigrad.manual_seed(0)
a, b = (minigrad.randn(512, 512, dtype=minigrad.float64) for _ in range(2))
first = {call}
minigrad.ones(64).sigmoid()
print((first == {call}).all().item())
"""
    assert run(program, OPENBLAS_NUM_THREADS="2") == ["True"]
