"""What ``device="cuda"`` must do, whatever stands behind it: a GPU (``test_cuda.py``) or CuPy's double
(``test_cuda_double.py``).

The numbers are held against the textbook on the CPU. The ops are those of the tables in ``tests/ops``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from op_suite import Case, flat

import minigrad
from minigrad import kernels


def tables() -> list[Case]:
    """The lines of all tables in ``tests/ops``, under their family's name."""
    found = []
    for path in sorted((Path(__file__).parents[1] / "ops").glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"table_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for suite in vars(module).values():
            found += vars(suite).get("cases", ()) if isinstance(suite, type) else ()
    return found


class Library:
    """minigrad with its functions that make tensors of nothing making them on a device."""

    MAKERS = ("tensor", "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "rand", "randn", "randint")

    def __init__(self, device: str) -> None:
        self.device = device

    def __getattr__(self, name: str) -> Any:
        found = getattr(minigrad, name)
        if name not in self.MAKERS:
            return found
        return lambda *args, **kwargs: found(*args, **{"device": self.device, **kwargs})


def numbers(t: Any) -> Any:
    """A tensor's elements on the host, or None."""
    return None if t is None else t.detach().cpu().numpy().copy()


def run(device: str, case: Case, arrays: list[Any], grad: list[bool], second: bool = False) -> list[Any]:
    """The op on a device, walked back with random gradients, twice if asked: all outputs and gradients."""
    lib, rng = Library(device), np.random.default_rng(3)
    leaves = []
    for a, wanted in zip(arrays, grad, strict=True):
        t = minigrad.tensor(a, device=device)
        leaves.append(t.requires_grad_() if wanted and a.dtype.kind == "f" else t)
    with kernels.disabled():
        outs = flat(case.call(lib, *leaves))
        through = [y for y in outs if y.requires_grad]
        assert {y.device.type for y in outs} == {device}
        weights = [
            minigrad.tensor(np.asarray(rng.standard_normal(y.shape)), device=device).to(y.dtype) for y in through
        ]
        if not second:
            if through:
                minigrad.autograd.backward(through, weights)
            return [*map(numbers, outs), *[numbers(x.grad) for x in leaves]]
        wanted_leaves = [x for x in leaves if x.requires_grad]
        firsts = minigrad.autograd.grad(through, wanted_leaves, weights, create_graph=True, allow_unused=True)
        firsts = [g for g in firsts if g is not None and g.requires_grad]
        weights = [minigrad.tensor(np.asarray(rng.standard_normal(g.shape)), device=device) for g in firsts]
        if firsts:
            minigrad.autograd.backward(firsts, weights)
        return [*map(numbers, firsts), *[numbers(x.grad) for x in wanted_leaves]]


class OnDevice:
    """Sub-classes say how near the numbers must be. A fixture makes ``device="cuda"`` work."""

    rtol: ClassVar[float]
    atol: ClassVar[float]

    def same(self, got: Any, want: Any) -> None:
        assert (got is None) == (want is None)
        if want is not None:
            assert got.dtype == want.dtype
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want, rtol=self.rtol, atol=self.atol)

    def both(self, compute: Callable[[str], Any]) -> None:
        """Hold what ``compute(device)`` gives (tensors, in lists or alone) on the GPU against the CPU's."""
        with kernels.disabled():
            want, got = flat(compute("cpu")), flat(compute("cuda"))
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            assert a is None or a.device.type == "cuda"
            self.same(numbers(a), numbers(b))


@pytest.mark.filterwarnings("ignore:.*they are broadcast")
class OpsOnDevice(OnDevice):
    cases: ClassVar[list[Case]] = tables()

    def test_an_op_gives_the_textbooks_numbers(self, case: Case) -> None:
        arrays, grad = case.arrays(), case.wants_grad()
        for got, want in zip(run("cuda", case, arrays, grad), run("cpu", case, arrays, grad), strict=True):
            self.same(got, want)

    def test_an_op_gives_the_textbooks_second_derivatives(self, case: Case) -> None:
        arrays, grad = case.arrays(), case.wants_grad()
        if case.smooth and case.second and any(g and a.dtype.kind == "f" for a, g in zip(arrays, grad, strict=True)):
            want = run("cpu", case, arrays, grad, second=True)
            for a, b in zip(run("cuda", case, arrays, grad, second=True), want, strict=True):
                self.same(a, b)

    def test_with_kernels_both_devices_agree(self, large_case: Case) -> None:
        case = large_case
        arrays, grad = case.arrays("float32", case.large), case.wants_grad(case.large)
        leaves = {}
        for device in ("cpu", "cuda"):  # on the CPU first: that loads the kernels
            made = [minigrad.tensor(a, device=device) for a in arrays]
            leaves[device] = [t.requires_grad_(g and t.is_floating_point()) for t, g in zip(made, grad, strict=True)]
            outs = flat(case.call(Library(device), *leaves[device]))
            through = [y for y in outs if y.requires_grad]
            minigrad.autograd.backward(through, [minigrad.ones_like(y) * 0.7 for y in through])
        for a, b in zip(leaves["cuda"], leaves["cpu"], strict=True):
            if b.grad is not None:
                np.testing.assert_allclose(numbers(a.grad), numbers(b.grad), rtol=1e-4, atol=3e-5)
