"""A model as a table: output shape, parameters, multiply-adds and receptive field of each layer.

The table is found by running the model once, in evaluation mode and without a graph, with hooks that watch every module
begin and end. All that this changes is put back, also when the model fails.
"""

from __future__ import annotations

import contextlib
import html
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...autograd import no_grad
from ...creation import from_numpy
from ...nested import tensors_in
from ...tensor import Tensor
from ...terminal import fitting
from ..module import Module
from .costs import Field, Rule, Shape, field_after, multiply_adds, window_axes
from .preserved import preserved


@dataclass(frozen=True)
class LayerRow:
    """One call of one module.

    Attributes:
        name: its dotted name in the model; "" is the model itself.
        kind: its class.
        depth: the number of modules that were running when it was called.
        output_shape: of its output; a list of shapes if it gave several tensors in a tuple, list or dict, None if it
            gave none or was not called.
        parameters: elements of its own parameters (without its children's) that no row above has counted;
            ``trainable`` those with requires_grad.
        multiply_adds: of this call, without its children's; None if they are not known.
        receptive_field: for layers with windows (convolution, pooling), the size of the input's window that one output
            depends on: a number, or one for each axis where they differ; None where it is not defined.
        reused: whether the module was called before.
    """

    name: str
    kind: str
    depth: int
    output_shape: Shape | list[Shape] | None = None
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int | None = 0
    receptive_field: int | tuple[int, ...] | None = None
    reused: bool = False
    called: bool = True
    windowed: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Summary:
    """The table, ``rows`` in the order of the calls; ``print`` shows it, and so does a notebook.

    Attributes:
        rows: a :class:`LayerRow` for each call of a module, and for each uncalled module that holds parameters.
        input_shapes: what the model was run on.
        total_parameters: elements of all parameters, each counted once; trainable_parameters those with requires_grad.
        multiply_adds: of the whole model for this input; ``uncounted`` names the layers that are not in it.
    """

    rows: list[LayerRow]
    input_shapes: list[Shape]
    total_parameters: int
    trainable_parameters: int
    parameter_bytes: int

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds or 0 for row in self.rows)

    @property
    def uncounted(self) -> list[str]:
        """Kinds of layers whose multiply-adds are not known and not in the total."""
        return sorted({row.kind for row in self.rows if row.multiply_adds is None})

    @property
    def receptive_field(self) -> int | tuple[int, ...] | None:
        """That of the last layer with windows; None if there is none, or it is not defined there."""
        return next((row.receptive_field for row in reversed(self.rows) if row.windowed), None)

    def cells(self) -> list[tuple[str, ...]]:
        """The table as text: its head, then a line for each row."""
        lines: list[tuple[str, ...]] = [("Layer", "Output shape", "Parameters", "Multiply-adds", "Receptive field")]
        for row in self.rows:
            own = row.name.rpartition(".")[2] if row.called else row.name
            layer = "  " * row.depth + (f"{own}: {row.kind}" if own else row.kind)
            cost = "?" if row.multiply_adds is None else f"{row.multiply_adds:,}" if row.multiply_adds else "-"
            held = "used again" if row.reused else f"{row.parameters:,}" if row.parameters else "-"
            seen = "-" if row.receptive_field is None else _sizes(row.receptive_field)
            shape = "not called" if not row.called else _shapes(row.output_shape)
            lines.append((layer, shape, held, cost if row.called else "-", seen))
        return lines

    def notes(self) -> list[str]:
        """The totals, a line each."""
        frozen = self.total_parameters - self.trainable_parameters
        size = self.parameter_bytes / 2**20
        lines = [
            f"Input: {_shapes(self.input_shapes)}",
            f"Parameters: {self.total_parameters:,}"
            + (f", {frozen:,} of them frozen" if frozen else "")
            + f" ({size:.2f} MiB)",
            f"Multiply-adds: {self.multiply_adds:,}",
        ]
        if self.uncounted:
            lines.append(f"Not counted in them (?): {', '.join(self.uncounted)}")
        return lines

    def __str__(self) -> str:
        table = self.cells()
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in table
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        return fitting("\n".join([line.rstrip() for line in [lines[0], rule, *lines[1:], rule, *self.notes()]]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table for a notebook."""
        head, *body = self.cells()
        left, right = "text-align:left;white-space:pre", "text-align:right"

        def line(cells: tuple[str, ...], tag: str) -> str:
            styles = [left, left, right, right, right]
            made = [f'<{tag} style="{s}">{html.escape(c)}</{tag}>' for c, s in zip(cells, styles, strict=True)]
            return f"<tr>{''.join(made)}</tr>"

        rows = "".join(line(cells, "td") for cells in body)
        notes = "<br>".join(html.escape(note) for note in self.notes())
        return f"<table><thead>{line(head, 'th')}</thead><tbody>{rows}</tbody></table><p>{notes}</p>"


def _sizes(sizes: int | tuple[int, ...]) -> str:
    return str(sizes) if isinstance(sizes, int) else " × ".join(map(str, sizes))


def _shapes(shapes: Shape | list[Shape] | None) -> str:
    return "-" if shapes is None else ", ".join(map(str, shapes)) if isinstance(shapes, list) else str(shapes)


# --- running the model -----------------------------------------------------------------------------------------------


class _Watch:
    """The hooks, and what they have seen."""

    def __init__(self, model: Module, rules: Mapping[type, Rule]) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        self.rules = rules
        self.rows: list[LayerRow] = []
        # Of the modules that have begun and not ended: the row, and the receptive field of what came in. (After the
        # call it may be too late to ask: a layer that works in place has changed its input.)
        self.running: list[tuple[int, Field | None]] = []
        self.seen: set[int] = set()  # modules that have a row, and parameters that were counted
        # By id: a tensor (kept, so that its id stays its own), the version at which its field was known, and the field
        self.fields: dict[int, tuple[Tensor, int, Field]] = {}

    def begin(self, module: Module, args: Any, kwargs: Any) -> None:
        row = LayerRow(self.names[id(module)], type(module).__name__, len(self.running), reused=id(module) in self.seen)
        given = tensors_in([*args, *kwargs.values()])
        self.running.append((len(self.rows), self.field_of(given[0]) if given else None))
        self.rows.append(self.with_parameters(row, module))

    def end(self, module: Module, args: Any, kwargs: Any, output: Any) -> None:
        at, known = self.running.pop()
        given, made = tensors_in([*args, *kwargs.values()]), tensors_in(output)
        shapes = [tuple(t.shape) for t in made]
        if not module._modules and made:  # the output of a module with children is known from theirs
            known = None if known is None else field_after(module, known)
            self.set_field(made[0], known)
        windowed = window_axes(module) > 0
        cost: int | None = 0
        if made:
            cost = multiply_adds(module, tuple(given[0].shape) if given else shapes[0], shapes[0], self.rules)
        self.rows[at] = replace(
            self.rows[at],
            output_shape=None if not shapes else shapes[0] if isinstance(output, Tensor) else shapes,
            multiply_adds=cost,
            receptive_field=_one_number(known.size) if known is not None and windowed else None,
            windowed=windowed,
        )

    def with_parameters(self, row: LayerRow, module: Module) -> LayerRow:
        fresh = [p for p in module._parameters.values() if id(p) not in self.seen]
        fresh = list({id(p): p for p in fresh}.values())
        self.seen.update(map(id, fresh), [id(module)])
        sizes = [(p.numel(), p.requires_grad) for p in fresh]
        return replace(row, parameters=sum(n for n, _ in sizes), trainable=sum(n for n, trains in sizes if trains))

    def set_field(self, t: Tensor, known: Field | None) -> None:
        if known is None:
            self.fields.pop(id(t), None)
        else:
            self.fields[id(t)] = (t, t._version[0], known)

    def field_of(self, t: Tensor) -> Field | None:
        """The receptive field of a tensor's elements, if layers alone made it: not if it was changed in place since."""
        _, version, known = self.fields.get(id(t), (None, -1, None))
        return known if version == t._version[0] else None

    def rest(self, model: Module) -> None:
        """Rows for the modules that hold parameters but were not called."""
        for name, module in model.named_modules():
            if id(module) not in self.seen and module._parameters:
                row = LayerRow(name, type(module).__name__, 0 if not name else 1, called=False)
                self.rows.append(self.with_parameters(row, module))


def _one_number(sizes: tuple[int, ...]) -> int | tuple[int, ...]:
    return sizes[0] if len(set(sizes)) == 1 else sizes


def summary(model: Module, input_size: Any, rules: Mapping[type, Rule] | None = None) -> Summary:
    """The layers of a model as a table: output shapes, parameters, multiply-adds and receptive fields.

        print(minigrad.utils.summary(model, (1, 3, 32, 32)))

    The model is run once, in evaluation mode and under ``no_grad``, and left as it was, also when it fails. What is
    counted, and how the receptive field is found, is told at the top of :mod:`minigrad.nn.inspection.costs`. Receptive
    fields follow tensors from layer to layer: one made by a function (``F.relu``, a sum of branches) ends the
    path, so write ``nn.ReLU``.

    Args:
        model: a module.
        input_size: the shape of the input with its batch axis, (N, C, H, W) for images; a list of shapes for a model
            with several inputs; or, instead of any shape, an example tensor. Inputs of a given shape are normal random
            numbers in the dtype and on the device of the model's first parameter.
        rules: multiply-adds of the user's own layers: {class: function(layer, input shape, output shape) → int}.

    Returns:
        A :class:`Summary`: ``str`` gives the table; ``.rows``, ``.total_parameters``, ``.multiply_adds`` its data.

    Raises:
        TypeError: a model that is not a Module, or inputs that are neither shapes nor tensors.
        ValueError: a size that is not a positive integer.
        Whatever the model raises, with a note on the inputs that it was run on.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: model must be a Module, got {type(model).__name__}")
    inputs = _inputs(model, input_size)
    shapes = [tuple(x.shape) for x in inputs]
    watch = _Watch(model, rules or {})
    for x in inputs:
        watch.set_field(x, Field())
    try:
        with contextlib.ExitStack() as hooks:
            for module in model.modules():
                hooks.enter_context(module.register_forward_pre_hook(watch.begin, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(watch.end, with_kwargs=True))
            with preserved(model), no_grad():
                model.eval()
                model(*inputs)
    except Exception as error:
        error.add_note(
            f"summary: raised when the model was run on inputs of shapes {_shapes(shapes)}. input_size is the whole "
            "shape with the batch axis, such as (1, 3, 32, 32); a model that wants integers needs an example tensor."
        )
        raise
    watch.rest(model)
    parameters = list(model.parameters())
    return Summary(
        watch.rows,
        shapes,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p._array.nbytes for p in parameters),
    )


def flops(model: Module, input_size: Any, rules: Mapping[type, Rule] | None = None) -> int:
    """The floating-point operations of one forward pass: two for each multiply-add that :func:`summary` counts.

    Arguments and errors are those of :func:`summary`. Source: torch.utils.flop_counter, which counts two as well.
    """
    return 2 * summary(model, input_size, rules).multiply_adds


def _inputs(model: Module, given: Any) -> list[Tensor]:
    """Tensors to run the model on: those given, and random ones of the shapes given."""
    if isinstance(given, Tensor):
        return [given]
    if not isinstance(given, (tuple, list)):
        raise TypeError(
            f"summary: input_size must be a shape such as (1, 3, 32, 32), a list of shapes, or tensors; got "
            f"{type(given).__name__}"
        )
    if any(isinstance(item, (tuple, list, Tensor)) for item in given):
        return [item if isinstance(item, Tensor) else _random_input(model, item) for item in given]
    return [_random_input(model, given)]


def _random_input(model: Module, shape: Any) -> Tensor:
    try:
        sizes = tuple([operator.index(n) for n in shape])
    except TypeError:
        raise TypeError(f"summary: a shape must hold integers, got {shape!r}") from None
    if not sizes or min(sizes) < 1:
        raise ValueError(f"summary: input_size must hold positive sizes, batch axis first, got {shape!r}")
    x = from_numpy(np.random.default_rng(0).standard_normal(sizes).astype(np.float32))
    first = next((p for p in model.parameters() if p.dtype.is_floating_point), None)
    return x if first is None else x.to(first.device, first.dtype)
