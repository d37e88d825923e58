"""What a training is made of besides its code: the state from which it goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..tensor import Tensor
from .checkpoint import CheckpointError, random_state, set_random_state

if TYPE_CHECKING:
    from .trainer import Trainer

FORMAT = 1


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Everything that decides how the training goes on. Tensors are not copied."""
    place_of = getattr(trainer.train_loader, "state_dict", None)
    return {
        "format": FORMAT,
        "position": {
            "epoch": trainer.epoch,
            "batch_index": trainer.batch_index,
            "step": trainer.step,
            "inside_epoch": trainer.inside_epoch,
            "stopped": None if trainer.interrupted else trainer.stopped,
        },
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "loader": None if place_of is None else place_of(),
        "random": random_state(),
        "meters": {name: meter.state_dict() for name, meter in trainer.meters[""].items()},
        "callbacks": {key: callback.state_dict() for key, callback in trainer.keyed_callbacks()},
        "logs": dict(trainer.logs),
        "performance": dict(trainer.performance),
        "history": list(trainer.history),
        "performance_history": list(trainer.performance_history),
    }


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put a state in the place of the trainer's own, or change nothing and raise CheckpointError."""
    _check(trainer, state)
    before = _copies(trainer)
    callbacks = dict(trainer.keyed_callbacks())
    try:
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        if state["loader"] is not None and hasattr(trainer.train_loader, "load_state_dict"):
            trainer.train_loader.load_state_dict(state["loader"])
        for key, kept in state["callbacks"].items():
            if kept:
                callbacks[key].load_state_dict(kept)
    except Exception as error:
        trainer.model.load_state_dict(before["model"])
        trainer.optimizer.load_state_dict(before["optimizer"])
        for key, callback in callbacks.items():
            callback.load_state_dict(before["callbacks"][key])
        raise CheckpointError(f"the checkpoint does not fit this training: {error}") from error
    for name, meter in trainer.meters[""].items():
        meter.load_state_dict(state["meters"][name])
    set_random_state(state["random"])
    position = state["position"]
    trainer.epoch, trainer.batch_index, trainer.step = position["epoch"], position["batch_index"], position["step"]
    trainer.inside_epoch, trainer.stopped = position["inside_epoch"], position["stopped"]
    trainer.logs, trainer.performance = dict(state["logs"]), dict(state["performance"])
    trainer.history = [dict(row) for row in state["history"]]
    trainer.performance_history = [dict(row) for row in state["performance_history"]]


@contextmanager
def put_back_after(trainer: Trainer) -> Iterator[None]:
    """Model, optimizer, random state and loader are as before when the context ends."""
    before, random = _copies(trainer), random_state()
    place_of = getattr(trainer.train_loader, "state_dict", None)
    place = None if place_of is None else place_of()
    try:
        yield
    finally:
        trainer.model.load_state_dict(before["model"])
        trainer.optimizer.load_state_dict(before["optimizer"])
        trainer.optimizer.zero_grad()
        if place is not None:
            trainer.train_loader.load_state_dict(place)
        set_random_state(random)


def _copies(trainer: Trainer) -> dict[str, Any]:
    optimizer = trainer.optimizer.state_dict()
    return {
        "model": {name: t.clone() for name, t in trainer.model.state_dict().items()},
        "optimizer": {
            "state": {
                number: {key: v.clone() if isinstance(v, Tensor) else v for key, v in kept.items()}
                for number, kept in optimizer["state"].items()
            },
            "param_groups": [dict(group) for group in optimizer["param_groups"]],
        },
        "callbacks": {key: callback.state_dict() for key, callback in trainer.keyed_callbacks()},
    }


def _check(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Refuse the state of another training before anything has changed."""
    if state.get("format") != FORMAT:
        raise CheckpointError(f"the checkpoint has format {state.get('format')!r}, this version reads {FORMAT}")
    own = {name: tuple(t.shape) for name, t in trainer.model.state_dict().items()}
    saved = {name: tuple(t.shape) for name, t in state["model"].items()}
    if own != saved:
        differing = [
            f"{name}: {saved.get(name, 'not there')} in the checkpoint, {own.get(name, 'not there')} in the model"
            for name in dict.fromkeys((*own, *saved))
            if own.get(name) != saved.get(name)
        ]
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CheckpointError(f"the checkpoint is of another model ({'; '.join(differing[:3])}{more})")
    remembering = {key for key, callback in trainer.keyed_callbacks() if callback.state_dict()}
    for what, mine, theirs in (
        ("metrics", set(trainer.meters[""]), set(state["meters"])),
        ("callbacks", remembering, {key for key, kept in state["callbacks"].items() if kept}),
    ):
        if mine != theirs:
            raise CheckpointError(
                f"the checkpoint is of a training with the {what} {', '.join(sorted(theirs)) or 'none'}; this one has "
                f"{', '.join(sorted(mine)) or 'none'}"
            )
    if state["position"]["inside_epoch"] and state["loader"] is None:
        raise CheckpointError(
            f"the checkpoint stands inside epoch {state['position']['epoch']}, and its loader could not tell its "
            "place; use a DataLoader, or checkpoints at the ends of epochs"
        )
