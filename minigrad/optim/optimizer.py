"""Optimizer: the base of all rules that turn gradients into steps.

A rule stands in its own file, twice: as an equation, and as a function of plain arrays that reads like the
equation and runs on NumPy and CuPy. One fused pass over each parameter takes its place
(``minigrad/kernels/optim``); it computes the same numbers without the temporary
arrays.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy import ndarray

from .. import kernels
from ..autograd import enable_grad
from ..devices import move
from ..errors import DeviceError, DtypeError, ShapeError
from ..interrupts import HeldBack
from ..kernels.machine import gpu
from ..nn.parameter import clear_gradient, writable
from ..tensor import Tensor

# What makes a parameter's update: of its array, its gradient's, and what is remembered of it, it gives what is to be
# remembered afterwards, and the rule's arguments: the two arrays, those remembered that change (None where a setting
# does without), and settings. It changes nothing. Where nothing is remembered: the arguments behind the two arrays.
Prepare = Callable[[Any, Any, Mapping[str, Any]], tuple[dict[str, Any], tuple[Any, ...]]] | tuple[Any, ...]

_NOTHING: Mapping[str, Any] = {}


class Optimizer:
    """Holds parameters in groups, each with its own settings, and what it remembers of each parameter.

    A rule of one's own is a subclass with a ``step``::

        class Plain(Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, {"lr": lr})

            @minigrad.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        if p.grad is not None:
                            p -= group["lr"] * p.grad

    Args:
        params: an iterable of parameters, of ``(name, parameter)`` pairs, or of dicts
            ``{"params": …, "lr": …}``, one per group.
        defaults: settings for groups that do not give their own.

    Attributes:
        param_groups: a list of dicts: ``"params"`` and the settings, which may be changed between steps.
        state: parameter → dict of what the rule remembers of it.

    Source: PyTorch's ``torch.optim.Optimizer``; ``state_dict`` has the same layout.
    """

    on_cpu: ClassVar[kernels.Kernel | None] = None  # the rule in one pass over NumPy's arrays
    on_gpu: ClassVar[kernels.Kernel | None] = None  # and over CuPy's

    def __init_subclass__(cls, kernel: str | None = None) -> None:
        if kernel is not None:
            cls.on_cpu, cls.on_gpu = kernels.find(kernel, "cpu"), kernels.find(kernel, "gpu")

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, Tensor):
            raise TypeError(
                f"{name}: params must be an iterable of parameters, got a single {type(params).__name__}; "
                "put it in a list: [parameter]"
            )
        if isinstance(params, (set, frozenset)):
            raise TypeError(f"{name}: params is a set, whose order changes from run to run; pass a list")
        if not isinstance(params, Iterable):
            raise TypeError(f"{name}: params must be an iterable of parameters, got {type(params).__name__}")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._step_count = 0
        given = list(params)
        if not given:
            raise ValueError(
                f"{name}: got no parameters. A generator such as model.parameters() can be used only once: "
                "call it again for each optimizer. Does the model keep its layers in a plain list? Use "
                "nn.ModuleList"
            )
        groups = given if isinstance(given[0], Mapping) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add parameters with settings of their own; settings that are not given come from the defaults.

        Raises:
            TypeError: something that is not a tensor.
            ValueError: a tensor that is not a leaf, one that another group has, or none at all.
        """
        name = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(f"{name}: a parameter group must be a dict with 'params', got {param_group!r:.100}")
        group = dict(param_group)
        given = group["params"]
        if isinstance(given, (set, frozenset)):
            raise TypeError(f"{name}: params is a set, whose order changes from run to run; pass a list")
        entries = [given] if isinstance(given, Tensor) else list(given)
        if not entries:
            raise ValueError(f"{name}: a parameter group has no parameters (was its generator used before?)")
        names = [entry[0] for entry in entries if _is_named(entry)]
        if names and len(names) != len(entries):
            raise ValueError(f"{name}: either all parameters or none come as (name, parameter)")
        parameters = [entry[1] if _is_named(entry) else entry for entry in entries]
        if names:
            group["param_names"] = names
        self._check_parameters(name, parameters)
        group["params"] = parameters
        for setting, value in self.defaults.items():
            group.setdefault(setting, value)
        self.param_groups.append(group)

    def _check_parameters(self, name: str, parameters: list[Any]) -> None:
        held = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(parameters):
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: can only optimize tensors, parameter {i} is a {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(
                    f"{name}: can't optimize a non-leaf tensor; parameter {i} (shape {tuple(p.shape)}) was "
                    "computed from others. Optimize those, or make it a leaf: p.detach().requires_grad_()"
                )
            if id(p) in held:
                raise ValueError(f"{name}: parameter {i} (shape {tuple(p.shape)}) appears twice or is in another group")
            held.add(id(p))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                clear_gradient(p, set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient, by the rule: all of them, or after an error none.

        Everything is checked before the first change, and a Ctrl-C that comes during the changes acts after them.

        Args:
            closure: computes the loss and its gradients again, and returns the loss.

        Returns:
            What ``closure`` returned, or None.

        Raises:
            ShapeError, DtypeError, DeviceError: a gradient, or something remembered, does not fit its parameter.
            ValueError: a parameter whose memory cannot be written to. Nothing has changed in either case.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        switch = kernels.switch
        on_cpu, on_gpu = (self.on_cpu, self.on_gpu) if not switch.off or switch.on else (None, None)
        updates, textbook, state = [], [], self.state  # written for speed: this runs once per parameter and step
        for group in self.param_groups:
            rule, prepare = self._prepare(group)
            for i, p in enumerate(group["params"]):
                gradient = p._grad
                if gradient is None:
                    continue
                array, g = p._array, gradient._array
                kind, dtype = array.__class__, array.dtype
                if g.shape != array.shape or g.__class__ is not kind or (g.dtype is not dtype and g.dtype != dtype):
                    raise _misfit(type(self).__name__, i, p)
                if isinstance(prepare, tuple):
                    new, args = _NOTHING, (array, g, *prepare)
                else:
                    new, args = prepare(array, g, state.get(p, _NOTHING))
                if kind is ndarray:
                    kernel = on_cpu if array.flags.carray and dtype.char in "fd" else None  # in order, and writable
                else:
                    kernel = on_gpu if gpu.takes(array) and array.flags.c_contiguous else None
                if kernel is not None:
                    run = kernel.compute if kernel.loaded else kernel.load().compute
                else:
                    run = None
                    _check_writable(type(self).__name__, i, array)
                    textbook.append((rule, args))
                updates.append((run, args, p, new))
        with HeldBack():
            if textbook:
                _run_textbook(textbook)  # first: it can fail (for want of memory), and is undone then
            for run, args, p, new in updates:
                if run is not None:
                    run(*args)
                p._version[0] += 1
                if new:
                    state[p].update(new)
            self._step_count += 1
        return loss

    def _prepare(self, group: dict[str, Any]) -> tuple[Callable[..., None], Prepare]:
        """The rule, and what makes an update of each parameter of this group."""
        raise NotImplementedError(f"{type(self).__name__}: step is missing; write `def step(self, closure=None): ...`")

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {number: what is remembered}, "param_groups": [{"params": numbers, settings}]}``.

        The numbers count the parameters through all groups, in order. Nothing is copied.
        """
        numbers = {id(p): i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}
        groups = [
            {
                **{k: v for k, v in group.items() if k != "params"},
                "params": [numbers[id(p)] for p in group["params"]],
            }
            for group in self.param_groups
        ]
        # A parameter that was taken out of its group is still remembered, but has no number.
        state = {numbers[id(p)]: dict(kept) for p, kept in self.state.items() if id(p) in numbers}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a :meth:`state_dict`, copied to each parameter's device and dtype.

        Raises:
            ValueError: the groups differ in number or size, or a remembered tensor does not have its
                parameter's shape. Nothing has changed then.
        """
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise ValueError(f"{name}.load_state_dict: expected a dict with 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        sizes, own_sizes = ([len(g["params"]) for g in groups] for groups in (saved, self.param_groups))
        if sizes != own_sizes:
            raise ValueError(
                f"{name}.load_state_dict: the state has groups of {sizes} parameters, this optimizer of {own_sizes}"
            )
        numbers = [number for group in saved for number in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        for number, p in zip(numbers, parameters, strict=True):
            if number in state_dict["state"]:
                kept = state_dict["state"][number]
                state[p] = {key: self._fitted(key, value, number, p) for key, value in kept.items()}
        for own, group in zip(self.param_groups, saved, strict=True):
            own.update({k: copy.deepcopy(v) for k, v in group.items() if k != "params"})
        self.state = state

    def _fitted(self, key: str, value: Any, number: int, p: Tensor) -> Any:
        """A remembered value for parameter ``p``: tensors and arrays are copied to its dtype and device."""
        if isinstance(value, Tensor):
            array = value._array
        elif hasattr(value, "__array__"):
            array = np.asarray(value)
        else:
            return copy.deepcopy(value)
        if key == "step":
            return int(array)  # PyTorch keeps the step count as a tensor, minigrad as a number
        if key == "mu_product":
            return float(array)  # so with NAdam's product
        if array.shape != p._array.shape:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: {key} of parameter {number} has shape {array.shape}, "
                f"the parameter has {p._array.shape}"
            )
        copied = move(array, p.device).astype(p._array.dtype, order="C", copy=True)
        return Tensor._wrap(copied)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _run_textbook(updates: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> None:
    """Run rules that have no compiled form, on arrays, in place; if one fails, put back what they changed.

    float16 arrays are changed in float32, whose results are rounded once: eps = 1e-8 is 0 in float16.
    """
    before: list[tuple[Any, Any]] = []
    try:
        for rule, args in updates:
            p, g, *rest = args
            kept = [a for a in rest if hasattr(a, "dtype")]
            before += [(array, array.copy()) for array in (p, *kept)]
            with np.errstate(all="ignore"):  # infinities and NaN pass silently, as in the compiled rules
                if p.dtype != np.float16:
                    rule(*args)
                    continue
                wide = {id(array): array.astype(np.float32) for array in (p, *kept)}
                rule(wide[id(p)], g, *(wide.get(id(a), a) for a in rest))
                for array in (p, *kept):
                    array[...] = wide[id(array)]
    except BaseException:
        for array, value in reversed(before):
            array[...] = value
        raise


def decayed(p: Any, g: Any, weight_decay: float, maximize: bool) -> Any:
    """The direction that a rule goes against: ∇L(p) + weight_decay · p, with −∇L for ``maximize``, in p's dtype."""
    d = g.astype(p.dtype, copy=False)
    if maximize:
        d = -d
    return d + weight_decay * p if weight_decay else d


def squarable(d: Any, g: Any) -> Any:
    """``d`` with a square that the dtype of the gradient ``g`` can hold: beyond ±L, L = ½ √max, it counts as ±L.

    In float32 L is 9.2e18. A rule that divides by a root mean square only asks how large gradients are beside each
    other, so the step is what it would be without the bound, where an infinite square would stop the parameter for
    ever. ±∞ and NaN stay what they are, to be seen.
    """
    limit = math.sqrt(np.finfo(g.dtype).max) / 2
    return np.where(np.isinf(d), d, np.clip(d, -limit, limit))


def kept(state: Mapping[str, Any], name: str, array: Any, first: float = 0.0) -> Tensor:
    """What is remembered of a parameter under a name, at first full of one number: contiguous whatever its layout."""
    found: Tensor | None = state.get(name)
    if found is None:
        return Tensor._wrap(np.full_like(array, first, order="C") if first else np.zeros_like(array, order="C"))
    if found._array.shape != array.shape:
        raise ShapeError(
            f"{name}: a parameter has shape {array.shape} now, and what is remembered of it {found._array.shape}; make "
            "a new optimizer after giving a parameter other data"
        )
    return found


def check_not_negative(rule: str, **settings: Any) -> None:
    """Raise if a setting is negative or NaN."""
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{rule}: {name} must not be negative, got {value!r}")


def check_fractions(rule: str, **settings: Any) -> None:
    """Raise if a setting, the weight of a running average, is not in [0, 1)."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ValueError(f"{rule}: {name} must lie in [0, 1), got {value!r}")


def refuse(rule: str, **settings: Any) -> None:
    """Raise for PyTorch's settings that would change what a step means and that minigrad does not have.

    ``foreach`` and ``fused`` only choose between PyTorch's implementations of the same numbers; they are
    accepted whatever their value.
    """
    for name, value in settings.items():
        if value:
            raise NotImplementedError(f"{rule}: {name}={value!r} is not in minigrad; leave it False")


def _misfit(rule: str, number: int, p: Tensor) -> Exception:
    """The error for a gradient that is not like its parameter (whose data was changed after the backward pass)."""
    own, other = p._array, p._grad._array
    what = f"{rule}: parameter {number} of its group"
    if type(own) is not type(other):
        return DeviceError(f"{what} is on {p.device}, its gradient on {p._grad.device}")
    if own.shape != other.shape:
        return ShapeError(f"{what} has shape {own.shape}, its gradient {other.shape}")
    return DtypeError(f"{what} is {p.dtype}, its gradient {p._grad.dtype}; run backward again after a change of dtype")


def _check_writable(rule: str, number: int, array: Any) -> None:
    if not writable(array):
        raise ValueError(
            f"{rule}: parameter {number} (shape {array.shape}) cannot be written to: it is expanded, or its memory is "
            "read-only; give it memory of its own, p.data = p.data.clone()"
        )


def _is_named(entry: Any) -> bool:
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)
