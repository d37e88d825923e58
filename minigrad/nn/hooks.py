"""Hooks: functions that a Module calls before and after its forward pass and its part of the backward pass.

A module with hooks runs :func:`call_with_hooks`, which does, in this order:

1. forward pre-hooks (they may change the inputs),
2. ``forward``,
3. forward hooks (they may change the output);

and, if there are backward hooks, puts a *gate* on either side of the module: an identity op whose backward is
the moment at which the gradient passes.

    input ──▶ [input gate] ──▶ forward ──▶ [output gate] ──▶ output
               ▲ grad_input:                 ▲ grad_output:
               full backward hooks run       backward pre-hooks run

What comes out of a gate is a view of what went in, so a later change of either in place is a change of both. Only
``forward`` itself may not change its input in place: the gradient of a value that is overwritten within the module is
not the one that the hooks ask for. PyTorch refuses all changes of what has passed a gate.

Global hooks (``register_module_forward_hook`` and so on) run before a module's own. Source: PyTorch's
``torch.nn.Module.register_*_hook``; signatures and order are the same.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from ..autograd.function import Function
from ..autograd.handles import RemovableHandle
from ..autograd.op import Op
from ..autograd.variable import remember_view
from ..tensor import Tensor


class Hook(NamedTuple):
    """A registered function and how it wants to be called."""

    function: Callable[..., Any]
    with_kwargs: bool = False
    always_call: bool = False


class Hooks:
    """The hooks of one module, or of all, by the moment at which they run; each table keeps its order."""

    KINDS = ("forward_pre", "forward", "backward_pre", "backward")

    def __init__(self) -> None:
        self.forward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.forward: OrderedDict[int, Hook] = OrderedDict()
        self.backward_pre: OrderedDict[int, Hook] = OrderedDict()
        self.backward: OrderedDict[int, Hook] = OrderedDict()

    def __bool__(self) -> bool:
        return any(getattr(self, kind) for kind in self.KINDS)

    def add(
        self, kind: str, hook: Hook, *, prepend: bool = False, after_removal: Callable[[], None] | None = None
    ) -> RemovableHandle:
        if not callable(hook.function):
            raise TypeError(f"register_{kind}_hook: the hook must be callable, got {type(hook.function).__name__}")
        table: OrderedDict[int, Hook] = getattr(self, kind)
        handle = RemovableHandle(table, after_removal)
        table[handle.id] = hook
        if prepend:
            table.move_to_end(handle.id, last=False)
        return handle


EVERY_MODULE = Hooks()


class Hookable:
    """The part of Module that is called: ``forward``, and the hooks around it."""

    # The module's own hooks, None while it has none. On the class itself it is None too, until a global hook
    # is registered: one attribute read tells Module.__call__ whether there is anything to do besides forward.
    _hooks: Hooks | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooks is None:
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, self._hooks, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__}: forward is missing; write `def forward(self, x): ...`")

    def _register_hook(self, kind: str, hook: Hook, prepend: bool = False) -> RemovableHandle:
        own = vars(self).get("_hooks")
        if own is None:
            own = self._hooks = Hooks()

        def after_removal() -> None:
            if not own and vars(self).get("_hooks") is own:
                del self._hooks  # back to the call that does nothing but forward

        return own.add(kind, hook, prepend=prepend, after_removal=after_removal)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args)`` before ``forward``. It may return changed inputs: a tuple, or one value.

        With ``with_kwargs``: ``hook(module, args, kwargs)``, returning None or ``(args, kwargs)``.
        """
        return self._register_hook("forward_pre", Hook(hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Run ``hook(module, args, output)`` after ``forward``. What it returns, unless None, is the output.

        With ``with_kwargs``: ``hook(module, args, kwargs, output)``. With ``always_call`` the hook also runs,
        with an output of None, when ``forward`` or another hook raises.
        """
        return self._register_hook("forward", Hook(hook, with_kwargs, always_call), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run ``hook(module, grad_output)`` before the module's part of the backward pass.

        ``grad_output`` is a tuple, one gradient per output. What the hook returns, unless None, replaces it.
        """
        return self._register_hook("backward_pre", Hook(hook), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` once the gradients of the module's inputs are known.

        Both are tuples; inputs that are not tensors or carry no gradient have None, and so have outputs that
        nothing depends on. What the hook returns, unless None, replaces ``grad_input``. For the gradients of
        parameters see ``Tensor.register_hook``.
        """
        return self._register_hook("backward", Hook(hook), prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> NoReturn:
        """PyTorch's deprecated hook, which minigrad leaves out: use :meth:`register_full_backward_hook`."""
        raise NotImplementedError(
            "Module.register_backward_hook is deprecated in PyTorch and not in minigrad; "
            "use register_full_backward_hook, which has the same signature"
        )


def _register_global(kind: str, hook: Hook) -> RemovableHandle:
    def after_removal() -> None:
        if not EVERY_MODULE:
            Hookable._hooks = None

    handle = EVERY_MODULE.add(kind, hook, after_removal=after_removal)
    Hookable._hooks = EVERY_MODULE
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, args)`` before the ``forward`` of every module."""
    return _register_global("forward_pre", Hook(hook))


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run ``hook(module, args, output)`` after the ``forward`` of every module."""
    return _register_global("forward", Hook(hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_output)`` before any module's part of the backward pass."""
    return _register_global("backward_pre", Hook(hook))


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output)`` once the gradients of any module's inputs are known."""
    return _register_global("backward", Hook(hook))


def call_with_hooks(module: Hookable, own: Hooks, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` with the hooks of ``own`` and the global ones around it."""

    def both(kind: str) -> list[Hook]:
        local = [] if own is EVERY_MODULE else getattr(own, kind).values()
        return [*getattr(EVERY_MODULE, kind).values(), *local]

    pending = [hook for hook in both("forward") if hook.always_call]
    try:
        for hook in both("forward_pre"):
            args, kwargs = _run_forward_pre(module, hook, args, kwargs)
        before, after = both("backward_pre"), both("backward")
        gates = _Gates(module, before, after) if before or after else None
        if gates is None:
            output = module.forward(*args, **kwargs)
        else:
            args = gates.open(args)
            with gates.lock:
                output = module.forward(*args, **kwargs)
        for hook in both("forward"):
            if hook.always_call:
                pending.remove(hook)
            output = _run_forward(module, hook, args, kwargs, output)
        return gates.close(output) if gates else output
    except Exception:
        # forward or an earlier hook failed: hooks with always_call still get their turn, without an output.
        for hook in pending:
            _run_forward(module, hook, args, kwargs, None)
        raise


def _run_forward_pre(
    module: Hookable, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not hook.with_kwargs:
        result = hook.function(module, args)
        if result is None:
            return args, kwargs
        return (result if isinstance(result, tuple) else (result,)), kwargs
    result = hook.function(module, args, kwargs)
    if result is None:
        return args, kwargs
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(
            f"{type(module).__name__}: a forward pre-hook registered with_kwargs must return None or (args, "
            f"kwargs), got {type(result).__name__}"
        )
    return result


def _run_forward(module: Hookable, hook: Hook, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    if hook.with_kwargs:
        result = hook.function(module, args, kwargs, output)
    else:
        result = hook.function(module, args, output)
    return output if result is None else result


class _Gate(Function):
    """y₁, y₂, … = x₁, x₂, …; in the backward pass ``passing`` gets the gradients, and may return others."""

    @staticmethod
    def forward(ctx: Any, *tensors_and_passing: Any) -> Any:
        *tensors, ctx.passing = tensors_and_passing
        ctx.set_materialize_grads(False)
        return tuple(Tensor._wrap(x._array[...]) for x in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        return *ctx.passing(grads), None


class _Passed(Op):
    """y = x, the same memory: how a gate's view is found again once its base has changed in place."""

    is_view = True

    @staticmethod
    def forward(ctx: Any, x: Any, lock: _Lock | None) -> Any:
        return x[...]

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        return dy

    @staticmethod
    def locked(lock: _Lock | None) -> str:
        return lock.reason if lock else ""


class _Lock:
    """Closed while a module's ``forward`` runs: what has passed its input gate cannot be changed in place then."""

    def __init__(self, module: Hookable) -> None:
        self.module = type(module).__name__
        self.reason = ""

    def __enter__(self) -> None:
        self.reason = (
            f"{self.module} has a full backward hook, so its forward cannot change its input in place (inplace=True): "
            "use the out-of-place form, or give the module a clone()"
        )

    def __exit__(self, *exception: object) -> None:
        self.reason = ""


class _Gates:
    """The two gates of one call of a module, and the gradient that the output gate passed to the input gate."""

    def __init__(self, module: Hookable, before: list[Hook], after: list[Hook]) -> None:
        self.module = module
        self.before = before
        self.after = after
        self.grad_output: tuple[Tensor | None, ...] = ()
        self.inputs = 0  # the number of positional arguments
        self.lock = _Lock(module)
        self.first_layer = False  # none of them requires a gradient

    def open(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        indices = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
        self.first_layer = not indices
        if self.first_layer or not self.after:
            return args
        return through(args, indices, functools.partial(self.at_input, indices), self.lock)

    def close(self, output: Any) -> Any:
        outputs = output if isinstance(output, tuple) else (output,)
        indices = [i for i, a in enumerate(outputs) if isinstance(a, Tensor) and a.requires_grad]
        if not indices:
            return output
        outputs = through(outputs, indices, functools.partial(self.at_output, indices, len(outputs)))
        return outputs if isinstance(output, tuple) else outputs[0]

    def at_output(self, indices: list[int], count: int, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        passed = _at_indices(grads, indices, count)
        for hook in self.before:
            passed = self._replaced("full backward pre-hook", passed, hook.function(self.module, passed))
        self.grad_output = passed
        if self.first_layer:  # no gradient will reach the input gate: the other hooks have to run now
            nothing = (None,) * self.inputs
            for hook in self.after:
                answer = self._replaced("full backward hook", nothing, hook.function(self.module, nothing, passed))
                if any(grad is not None for grad in answer):
                    raise RuntimeError(
                        f"{type(self.module).__name__}: a full backward hook returned a gradient for an "
                        "input, but no input of the module requires one; return None"
                    )
        return tuple(passed[i] for i in indices)

    def at_input(self, indices: list[int], grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        passed = _at_indices(grads, indices, self.inputs)
        for hook in self.after:
            passed = self._replaced("full backward hook", passed, hook.function(self.module, passed, self.grad_output))
        return tuple(passed[i] for i in indices)

    def _replaced(self, what: str, before: tuple[Tensor | None, ...], answer: Any) -> tuple[Tensor | None, ...]:
        if answer is None:
            return before
        answer = answer if isinstance(answer, tuple) else (answer,)
        if len(answer) != len(before):
            raise RuntimeError(
                f"{type(self.module).__name__}: a {what} must return None or {len(before)} gradients, "
                f"it returned {len(answer)}"
            )
        return answer


def through(
    values: tuple[Any, ...], indices: list[int], passing: Callable[..., Any], lock: _Lock | None = None
) -> tuple[Any, ...]:
    """``values`` with the tensors at ``indices`` led through a gate, which hands their gradients to ``passing``."""
    gated = list(values)
    for i, tensor in zip(indices, _Gate.apply(*[values[i] for i in indices], passing), strict=True):
        remember_view(values[i], tensor, _Passed, (lock,))
        gated[i] = tensor
    return tuple(gated)


def _at_indices(grads: tuple[Tensor | None, ...], indices: list[int], count: int) -> tuple[Tensor | None, ...]:
    """A tuple of ``count`` with the gradients at these indices, None at the others."""
    spread: list[Tensor | None] = [None] * count
    for i, grad in zip(indices, grads, strict=True):
        spread[i] = grad
    return tuple(spread)
