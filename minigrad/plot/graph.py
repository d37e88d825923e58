"""The autograd graph of a loss as a picture: every op, or the modules that made them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from ..autograd import enable_grad
from ..errors import GraphError
from ..nn import Module
from ..nn.inspection.graph_walk import watched
from ..nn.inspection.preserved import preserved
from ..tensor import Tensor
from .graph_boxes import Draft
from .graph_svg import GraphPicture, draw

MOST_BOXES = 300  # more cannot be read
_NOTES = [
    "Forward: down, along the arrows. Each box holds the shape of what it hands on.",
    "Backward: up, against the arrows. An op gets the gradient of its output and sends one to each of its inputs;",
    "where several arrows leave a box, the gradients that come back along them are added up.",
]
_TWICE = "2×: used twice by what the arrow leads to; both gradients come back."
_NORMS = "‖∇‖: the Euclidean norm of the loss's gradient with respect to what the box hands on"


def graph(
    loss: Tensor | Callable[[], Tensor],
    model: Module | Mapping[str, Tensor] | None = None,
    inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    fold: bool | Literal["auto"] = "auto",
    limit: int = 40,
    title: str = "",
) -> GraphPicture:
    """The graph that ``backward`` walks, from parameters and inputs down to the loss, as SVG.

        plot.graph(criterion(model(x), y), model, x)              # as it stands
        plot.graph(lambda: criterion(model(x), y), model, x)      # made, differentiated and folded for the picture
        plot.graph(loss, {"w": w, "b": b})                        # without modules

    A *tensor's* graph is drawn as it stands, op by op, and nothing is run. ``.grad`` of the leaves is shown if it is
    there. Shapes of what the ops made are known while the graph holds its saved arrays: draw before ``backward``, or
    after ``backward(retain_graph=True)``; without them the ops and the leaves remain.

    A *function* is called once, with hooks on the model's modules that see which of them makes which op, and what it
    returns is differentiated once. So ops can be folded into their modules, all shapes are known, and every box shows
    the norm of its gradient. Nothing stays changed: ``.grad`` is left alone; the model's flags, its buffers (batch
    norm's statistics) and the CPU's random numbers are put back. What ``nn.Sequential`` fuses is drawn op by op.

    Args:
        loss: a tensor made by ops that record gradients, or a function without arguments that computes one.
        model: names the parameters; a Module, or {name: tensor} for bare tensors.
        inputs: tensors to be drawn as inputs wherever an op takes and keeps them: one, a sequence, or {name: tensor}.
        fold: True draws each module as one box, with its parameters in it: the innermost modules, or outer ones where
            those are more than ``limit`` boxes. "auto" does so only where the boxes are more than ``limit`` without it,
            and only if ``loss`` is a function and ``model`` a Module. False draws every op.
        limit: the boxes up to which a picture is good to read.
        title: above the picture.

    Returns:
        A :class:`GraphPicture`: ``.svg`` is its text, ``.save("graph.svg")`` writes it, notebooks show it.

    Raises:
        TypeError: arguments of other kinds than these.
        ValueError: another fold, or fold=True without a function and a Module; a limit below 1; more than 300 boxes.
        GraphError: a loss that no op with a gradient made.
    """
    if not isinstance(fold, bool) and fold != "auto":
        raise ValueError(f'graph: fold is {fold!r}, expected True, False or "auto"')
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"graph: limit is {limit!r}, expected a whole number of at least 1")
    if not callable(loss) and not isinstance(loss, Tensor):
        raise TypeError(f"graph: loss is a {type(loss).__name__}, expected a Tensor or a function that makes one")
    if fold is True and (isinstance(loss, Tensor) or not isinstance(model, Module)):
        raise ValueError(
            "graph: fold=True must see the modules run; give the loss as a function, such as "
            "lambda: criterion(model(x), y), and the model as a Module"
        )
    names = _named("model", dict(model.named_parameters()) if isinstance(model, Module) else model)
    given = _named("inputs", inputs)
    with contextlib.ExitStack() as stack:
        calls = None
        if isinstance(loss, Tensor):
            result = loss
        else:
            if isinstance(model, Module):
                stack.enter_context(preserved(model))
                calls = stack.enter_context(watched(model))
            with enable_grad():
                result = loss()
        if not isinstance(result, Tensor):
            raise TypeError(f"graph: the function given as loss returned a {type(result).__name__}, expected a Tensor")
        if result._node is None:
            raise GraphError(
                "graph: the loss has no graph: no op made it from tensors that require a gradient. Is it a leaf, "
                "detached, or made under no_grad()?"
            )
        draft = Draft(result, names, given, calls)
        if result is not loss and result.numel() == 1:
            draft.measure()
    level = draft.level(fold, limit)
    count = draft.count(level)
    if count > MOST_BOXES:
        how = "give the loss as a function and the model as a Module, so that ops are folded into modules"
        raise ValueError(
            f"graph: there are {count} boxes to draw, at most {MOST_BOXES} can be; "
            + (how if calls is None else "fold them, or draw a smaller model")
        )
    boxes, edges = draft.boxes(level)
    notes = [*_NOTES, *([_TWICE] if any("×" in label for label in edges.values()) else [])]
    return draw(boxes, edges, [*notes, *([_NORMS] if draft.norms else [])], title)


def _named(argument: str, tensors: Any) -> list[tuple[Tensor, str]]:
    """(tensor, name) of a tensor, a sequence or a mapping of them."""
    if tensors is None:
        return []
    if isinstance(tensors, Tensor) and argument == "inputs":
        tensors = {"input": tensors}
    elif isinstance(tensors, Sequence) and argument == "inputs":
        tensors = {f"input {i}": t for i, t in enumerate(tensors)}
    expected = "a Module or {name: tensor}" if argument == "model" else "a tensor, a sequence or {name: tensor}"
    if not isinstance(tensors, Mapping):
        raise TypeError(f"graph: {argument} is a {type(tensors).__name__}, expected {expected}")
    for name, t in tensors.items():
        if not isinstance(t, Tensor):
            raise TypeError(f"graph: {argument} has a {type(t).__name__} under {name!r}, expected {expected}")
    return [(t, str(name)) for name, t in tensors.items()]
