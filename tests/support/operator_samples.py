"""PyTorch's own samples of its operators and modules, run in both libraries.

PyTorch tests itself on a table of operators (``op_db``) and one of modules (``module_db``). Each entry makes calls:
tensors of odd shapes and layouts, options, broadcasting, empty tensors, and calls that must fail. Here such a call is
translated to minigrad, and values, dtypes, shapes and gradients are compared. The upstream gradient is random.
"""

from __future__ import annotations

import functools
import itertools
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional

torch = pytest.importorskip("torch")

Array = np.ndarray[Any, Any]
DTYPES = ("float64", "float32", "float16", "int64", "uint8", "bool")
# Relative to a result and to a tenth of the largest one; and absolute, for what is 0 but for rounding.
TOLERANCES = {"float64": (1e-10, 1e-13), "float32": (2e-5, 1e-6), "float16": (4e-3, 1e-3)}
NUMPY = {getattr(torch, name): np.dtype(name) for name in (*DTYPES, "int8", "int16", "int32")}
MOST = 8  # samples in one dtype; of longer lists every k-th
FIRST = 120  # samples that are looked at: some lists run to thousands


class Inexpressible(Exception):
    """What minigrad has no word for: complex numbers, sparse and channels-last layouts, bfloat16."""


@functools.cache
def tables() -> tuple[dict[str, Any], dict[str, Any]]:
    """(operators, modules) by name; variants of an operator are told apart as ``name:variant``."""
    pytest.importorskip("expecttest")  # PyTorch's tables need it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
        from torch.testing._internal.common_modules import module_db
    # Importing them freezes PyTorch's global switches, which other tests set.
    torch.backends.flags_frozen.__globals__["__allow_nonbracketed_mutation_flag"] = True
    ops = {op.name + (f":{op.variant_test_name}" if op.variant_test_name else ""): op for op in op_db}
    return ops, {info.module_cls.__name__: info for info in module_db}


@dataclass(frozen=True)
class Call:
    """A call in PyTorch's terms, and what it is called on in each library."""

    what: str  # dtype and way of calling, for messages
    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    grad: bool = True

    def __str__(self) -> str:
        return f"{self.what}: {shown(self.args)} {shown(self.kwargs)}"


def shown(x: Any) -> str:
    if isinstance(x, torch.Tensor):
        values = f" = {x.tolist()}" if 0 < x.numel() <= 4 else ""
        return f"{str(x.dtype)[6:]}{list(x.shape)}{values}"
    if isinstance(x, (list, tuple)):
        return f"({', '.join(map(shown, x))})"
    return ", ".join(f"{k}={shown(v)}" for k, v in x.items()) if isinstance(x, dict) else repr(x)


# --- translation -----------------------------------------------------------------------------------------------------


def lookup(name: str) -> Any:
    """minigrad's function of this name, else the tensor's method; None if there is neither."""
    found: Any = minigrad
    try:
        for part in name.split("."):
            found = getattr(found, part)
        if callable(found) and not isinstance(found, minigrad.dtype):
            return found
    except AttributeError:
        pass
    return getattr(minigrad.Tensor, name, None)


def counterpart(op: Any) -> Any:
    """What PyTorch's table calls, in minigrad. Where that is a lambda, it runs with minigrad in torch's place."""
    theirs, options = (op.op.func, op.op.keywords) if isinstance(op.op, functools.partial) else (op.op, {})
    if isinstance(theirs, types.FunctionType) and theirs.__name__ == "<lambda>":
        scope = {**theirs.__globals__, "torch": minigrad}
        return types.FunctionType(theirs.__code__, scope, "ours", theirs.__defaults__, theirs.__closure__)
    return functools.partial(lookup(op.name), **options)


def operator_names() -> list[str]:
    """The operators of PyTorch's table that minigrad has, as functions or methods."""
    names = {op.name for op in tables()[0].values()}
    return sorted(name for name in names - {"zero_"} if lookup(name) is not None)  # zero_ is a method only


def module_names() -> list[str]:
    """The modules of PyTorch's table that minigrad has."""
    return sorted(name for name in tables()[1] if hasattr(minigrad.nn, name))


class Translated:
    """Arguments of a sample in one library, in memory of their own but laid out alike; remembers the leaves."""

    def __init__(self, lib: Any, floats: str | None = None) -> None:
        self.lib, self.floats = lib, floats
        self.leaves: list[Any] = []
        self._known: dict[int, Any] = {}  # a tensor that comes twice is one tensor

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            if id(x) not in self._known:
                self._known[id(x)] = self._tensor(x)
            return self._known[id(x)]
        if isinstance(x, (torch.layout, torch.memory_format, complex)):
            raise Inexpressible(repr(x))
        if isinstance(x, torch.dtype):
            return self._dtype(x)
        if isinstance(x, torch.device):
            return self.lib.device(x.type)
        if isinstance(x, slice):
            return slice(*map(self, (x.start, x.stop, x.step)))
        if isinstance(x, torch.Size):
            return self.lib.Size(x)
        if isinstance(x, (list, tuple)):
            return type(x)(map(self, x))
        if isinstance(x, torch.nn.TransformerEncoderLayer):
            return self._layer(x)
        if isinstance(x, dict):
            return {k: self(v) for k, v in x.items() if not isinstance(v, torch.Generator)}
        return x

    def _layer(self, x: Any) -> Any:
        """One made like it; its weights come with the state of the whole."""
        attention, activation = x.self_attn, getattr(self.lib.nn.functional, x.activation.__name__)
        sizes = attention.embed_dim, attention.num_heads, x.linear1.out_features
        return self.lib.nn.TransformerEncoderLayer(
            *sizes,
            x.dropout.p,
            activation,
            x.norm1.eps,
            attention.batch_first,
            x.norm_first,
            x.linear1.bias is not None,
        )

    def _dtype(self, x: Any) -> Any:
        if x not in NUMPY:
            raise Inexpressible(repr(x))
        return getattr(self.lib, self.floats if self.floats and x.is_floating_point else str(x)[6:])

    def _tensor(self, x: Any) -> Any:
        if x.layout is not torch.strided or x.dtype not in NUMPY:
            raise Inexpressible(f"{x.dtype}, {x.layout}")
        memory = torch.empty(0, dtype=x.dtype).set_(x.detach().untyped_storage()).numpy().copy()
        strides = [n * memory.itemsize for n in x.stride()]
        a = np.lib.stride_tricks.as_strided(memory[x.storage_offset() :], tuple(x.shape), strides)
        if not a.size:
            a = np.empty(a.shape, a.dtype)
        if self.floats and a.dtype.kind == "f":
            a = a.astype(self.floats)
        t = self.lib.from_numpy(a)
        if x.requires_grad:
            self.leaves.append(t.requires_grad_())
        return t


# --- running and comparing -------------------------------------------------------------------------------------------


def is_tensor(y: Any) -> bool:
    return isinstance(y, (torch.Tensor, minigrad.Tensor))


def array(y: Any) -> Array:
    return np.array(y.detach().numpy())


def flat(out: Any) -> list[Any]:
    if isinstance(out, (list, tuple)) and not isinstance(out, (torch.Size, minigrad.Size)):
        return [y for part in out for y in flat(part)]
    return [out]


@dataclass
class Outcome:
    values: list[Any]
    grads: list[Array | None]


def walk_back(lib: Any, values: list[Any], leaves: list[Any]) -> list[Array | None]:
    """The gradients of the leaves under random upstream gradients, the same ones in both libraries."""
    rng = np.random.default_rng(7)
    draws = [np.asarray(rng.standard_normal(tuple(y.shape))) if is_tensor(y) else None for y in values]
    through = [(y, u) for y, u in zip(values, draws, strict=True) if is_tensor(y) and y.requires_grad]
    if through:
        upstream = [lib.from_numpy(np.asarray(u, array(y).dtype)) for y, u in through]
        lib.autograd.backward([y for y, _ in through], upstream)
    return [None if t.grad is None else array(t.grad) for t in leaves]


def run(lib: Any, call: Call, floats: str | None = None) -> Outcome:
    translated = Translated(lib, floats)
    args, kwargs = translated(call.args), translated(call.kwargs)
    torch.manual_seed(0)
    out = (call.theirs if lib is torch else call.ours)(*args, **kwargs)
    values, leaves = (out.values, out.parameters) if isinstance(out, Passed) else (flat(out), [])
    return Outcome(values, walk_back(lib, values, [*translated.leaves, *leaves]) if call.grad else [])


def near(got: Array, want: Array) -> bool:
    if got.dtype.kind != "f":
        return np.array_equal(got, want)
    relative, absolute = TOLERANCES[str(got.dtype)]
    g, w = got.astype(np.float64), want.astype(np.float64)
    largest = np.max(np.abs(w), where=np.isfinite(w), initial=0.0)
    return np.allclose(g, w, rtol=relative, atol=max(absolute, relative * largest / 10), equal_nan=True)


def as_near_as(got: Array, want: Array, exact: Array) -> bool:
    """Whether ``got`` is as near to the exact result as PyTorch's, or within a few roundings."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        e = exact.astype(got.dtype).astype(np.float64)
        apart = [np.where((x == e) | (np.isnan(x) & np.isnan(e)), 0.0, np.abs(x - e)) for x in (got, want)]
        largest = np.max(np.abs(e), where=np.isfinite(e), initial=0.0)
        theirs = np.max(apart[1], where=np.isfinite(apart[1]), initial=0.0)
        return bool((apart[0] <= 2 * theirs + 4 * float(info.eps) * largest + float(info.tiny)).all())


def difference(call: Call, want: Outcome, got: Outcome, exact: Callable[[], Outcome], random: bool) -> str | None:
    """How minigrad's outcome differs from PyTorch's, its kind first; None if it does not."""
    if len(want.values) != len(got.values):
        return f"structure: {len(got.values)} outputs, expected {len(want.values)}"
    known: list[Outcome] = []

    def right(g: Array, w: Array, place: Callable[[Outcome], Array]) -> bool:
        if near(g, w):
            return True
        if g.dtype.kind != "f" or g.dtype == np.float64:
            return False
        if not known:
            known.append(exact())
        return as_near_as(g, w, place(known[0]))

    for i, (w, g) in enumerate(zip(want.values, got.values, strict=True)):
        if not is_tensor(w):
            if type(g) is not type(w) or not (random or g == w):
                return f"structure: {g!r}, expected {w!r}"
            continue
        if not is_tensor(g):
            return f"structure: {type(g).__name__}, expected a tensor"
        for kind, a, b in (
            ("shape", tuple(g.shape), tuple(w.shape)),
            ("dtype", str(g.dtype).split(".")[-1], str(w.dtype)[6:]),
            ("requires_grad", g.requires_grad, w.requires_grad),
        ):
            if a != b:
                return f"{kind}: output {i} has {a}, expected {b}"
        if not random and not right(array(g), array(w), lambda o, i=i: array(o.values[i])):  # type: ignore[misc]
            return f"value: output {i} is {array(g)!r}, expected {array(w)!r}"
    for i, (dg, dw) in enumerate(zip(got.grads, want.grads, strict=False) if not random else ()):
        if (dg is None) != (dw is None):
            return f"gradient: of leaf {i} is {dg}, expected {dw}"
        if dg is None or dw is None:
            continue
        if (dg.shape, dg.dtype) != (dw.shape, dw.dtype):
            return f"gradient: of leaf {i} is {dg.dtype}{dg.shape}, expected {dw.dtype}{dw.shape}"
        if not right(dg, dw, lambda o, i=i: np.asarray(o.grads[i])):  # type: ignore[misc]
            return f"gradient: of leaf {i} is {dg!r}, expected {dw!r}"
    return None


def compared(call: Call, random: bool = False) -> str | None:
    """How minigrad differs in a call, its kind first ("error", "value", …); None if it does not, or if PyTorch itself
    fails or returns what minigrad cannot hold."""
    try:
        Translated(minigrad)((call.args, call.kwargs))
        want = run(torch, call)
    except Inexpressible:
        return None
    except Exception:
        if not call.grad:
            return None
        return compared(replace(call, grad=False), random)
    if any(isinstance(y, torch.Tensor) and y.dtype not in NUMPY for y in want.values):
        return None
    try:
        got = run(minigrad, call)
    except Exception as error:
        return f"error: {type(error).__name__}: {error}"
    return difference(call, want, got, lambda: run(torch, call, "float64"), random)


# --- what the tables hold --------------------------------------------------------------------------------------------


def spread(samples: Iterable[Any]) -> list[Any]:
    first = list(itertools.islice(samples, FIRST))
    return first[:: max(-(-len(first) // MOST), 1)]


def calls(name: str, dtype: str) -> Iterator[Call]:
    """The samples of an operator in a dtype: as a function; in float64 also as a method, in place, and strided."""
    op = tables()[0][name]
    kind = getattr(torch, dtype)
    if kind not in op.supported_dtypes("cpu"):
        return
    ours = counterpart(op)
    method, in_place = (getattr(minigrad.Tensor, op.name + end, None) for end in ("", "_"))
    grad = op.supports_autograd and kind in op.supported_backward_dtypes("cpu")
    torch.manual_seed(1)
    for sample in spread(op.sample_inputs("cpu", kind, requires_grad=grad)):
        args, kwargs = (sample.input, *sample.args), dict(sample.kwargs)
        yield Call(dtype, op.op, ours, args, kwargs, grad)
        if dtype != "float64" or not isinstance(sample.input, torch.Tensor):
            continue
        strided = sample.noncontiguous()
        yield Call("strided", op.op, ours, (strided.input, *strided.args), dict(strided.kwargs), grad)
        if op.method_variant is not None and method is not None:
            yield Call("method", op.method_variant, method, args, kwargs, grad)
        if op.inplace_variant is not None and in_place is not None and not sample.broadcasts_input:
            changed = [
                lambda x, *rest, f=f, **options: f(x.clone(), *rest, **options) for f in (op.inplace_variant, in_place)
            ]
            yield Call("in place", changed[0], changed[1], args, kwargs, grad)


def errors(name: str) -> Iterator[Call]:
    """Calls of an operator that PyTorch refuses."""
    op = tables()[0][name]
    if op.error_inputs_func is None:
        return
    for error in op.error_inputs("cpu"):
        sample = error.sample_input
        args = (sample.input, *sample.args)
        if any(isinstance(x, torch.Tensor) for part in args for x in flat(part)) and "out" not in sample.kwargs:
            yield Call("refused", op.op, counterpart(op), args, dict(sample.kwargs), grad=False)


@dataclass
class Passed:
    """A module's forward pass: what came out, then its state after it; and the parameters, whose gradients count."""

    values: list[Any]
    parameters: list[Any]


def module_calls(name: str, dtype: str, training: bool) -> Iterator[Call]:
    """Forward passes of a module; minigrad's module has PyTorch's weights. Each pass is a fresh module's."""
    info = tables()[1][name]
    kind = getattr(torch, dtype)
    torch.manual_seed(1)
    for given in spread(info.module_inputs_func(info, "cpu", kind, True, training)):
        made, fed = given.constructor_input, given.forward_input

        def theirs(*args: Any, made: Any = made, **kwargs: Any) -> Passed:
            module = info.module_cls(*made.args, **made.kwargs).to(kind)
            if any(isinstance(t, torch.Tensor) and t.dtype == torch.float64 for t in (*args, *kwargs.values())):
                module = module.double()
            return passed(module, args, kwargs)

        def ours(*args: Any, made: Any = made, **kwargs: Any) -> Passed:
            state = info.module_cls(*made.args, **made.kwargs).to(kind).state_dict()
            translated = Translated(minigrad)
            module = getattr(minigrad.nn, name)(*translated(made.args), **translated(made.kwargs))
            module.to(getattr(minigrad, dtype))
            module.load_state_dict({k: minigrad.from_numpy(array(v)) for k, v in state.items()})
            return passed(module, args, kwargs)

        def passed(module: Any, args: Any, kwargs: Any) -> Passed:
            out = flat(module.train(training)(*args, **kwargs))
            state = [v.detach() for v in module.state_dict().values()]
            return Passed([*out, *state, *module.state_dict()], list(module.parameters()))

        what = f"{dtype}, {'training' if training else 'evaluation'}, of ({shown(made.args)} {shown(made.kwargs)})"
        yield Call(what, theirs, ours, fed.args, fed.kwargs)
