"""What tests of GPU kernels share: an op on the GPU with its kernel, held against the textbook on the CPU.

The GPU is a real one in ``tests/test_cuda.py``, and CuPy's double, which runs the same CUDA sources, elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from support import flat

import minigrad
from minigrad import kernels
from minigrad.kernels import Kernel

BOUNDS = {"float32": (1e-4, 2e-5), "float64": (1e-10, 1e-12)}  # rtol, atol


def numbers(t: Any) -> Any:
    """A tensor's elements on the host, or None."""
    return None if t is None else t.detach().cpu().numpy().copy()


def ran_on_gpu(y: Any) -> bool:
    """Whether a GPU kernel made this tensor, as far as the graph remembers; views of its result count."""
    node = y._node
    while node is not None:
        node = getattr(node, "node", node)
        if isinstance(node.kernel, Kernel) and ".gpu." in node.kernel.forward.__module__:
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
