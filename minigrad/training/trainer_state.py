"""What a training is made of besides its code: the state from which it goes on as if nothing had happened."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import kernels
from ..utils.undisturbed import undisturbed
from .checkpoint import CheckpointError, random_state, set_random_state

if TYPE_CHECKING:
    from .trainer import Trainer

FORMAT = 1


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Everything that decides how the training goes on. Tensors are not copied."""
    return {
        "format": FORMAT,
        "threads": kernels.get_num_threads(),
        "position": {
            "epoch": trainer.epoch,
            "batch_index": trainer.batch_index,
            "step": trainer.step,
            "inside_epoch": trainer.inside_epoch,
            "batches_done": trainer.batches_done,
            "stopped": None if trainer.interrupted else trainer.stopped,
        },
        "model": trainer.model.state_dict(),
        "optimizer": trainer.optimizer.state_dict(),
        "optimizer_class": type(trainer.optimizer).__name__,
        "loader": _place(trainer),
        "val_loader": _between_epochs(trainer.val_loader),
        "random": random_state(),
        "meters": {name: meter.state_dict() for name, meter in trainer.meters[""].items()},
        "callbacks": {key: callback.state_dict() for key, callback in trainer.keyed_callbacks()},
        "logs": dict(trainer.logs),
        "performance": dict(trainer.performance),
        "history": list(trainer.history),
        "performance_history": list(trainer.performance_history),
    }


def restore(trainer: Trainer, state: Mapping[str, Any], epochs: int | None = None) -> None:
    """Put a state in the place of the trainer's own, or change nothing and raise CheckpointError.

    Args: epochs: of the fit that is to go on, which must not lie behind already.
    """
    _check(trainer, state, epochs)
    before, random, validation = _copies(trainer), random_state(), _between_epochs(trainer.val_loader)
    try:
        _put(trainer, state)
        set_random_state(state["random"])
        _stand(trainer.val_loader, state["val_loader"])
        _stand(trainer.train_loader, state["loader"])  # the last one, since it changes all or nothing
    except BaseException as error:
        _put(trainer, before)
        set_random_state(random)
        _stand(trainer.val_loader, validation)
        if not isinstance(error, Exception):  # Ctrl-C
            raise
        raise CheckpointError(f"the checkpoint does not fit this training: {error}") from error
    if state.get("threads", kernels.get_num_threads()) != kernels.get_num_threads():
        warnings.warn(
            f"Trainer.fit: the checkpoint was written on {state['threads']} threads and goes on on "
            f"{kernels.get_num_threads()}: sums may round otherwise, so figures may differ in their last digits",
            stacklevel=3,
        )
    position = state["position"]
    trainer.epoch, trainer.batch_index, trainer.step = position["epoch"], position["batch_index"], position["step"]
    trainer.inside_epoch, trainer.batches_done = position["inside_epoch"], position["batches_done"]
    trainer.stopped = position["stopped"]
    trainer.logs, trainer.performance = dict(state["logs"]), dict(state["performance"])
    trainer.history = [dict(row) for row in state["history"]]
    trainer.performance_history = [dict(row) for row in state["performance_history"]]
    if trainer.optimizer is not None:  # that schedulers know that it has made steps
        trainer.optimizer._step_count = max(trainer.optimizer._step_count, trainer.step)


@contextmanager
def put_back_after(trainer: Trainer) -> Iterator[None]:
    """Model, optimizer, random state and loader are as before when the context ends."""
    before, random = _copies(trainer), random_state()
    place = _place(trainer)
    try:
        with undisturbed(trainer.model):
            yield
    finally:
        trainer.model.load_state_dict(before["model"])
        trainer.optimizer.load_state_dict(before["optimizer"])
        trainer.optimizer.zero_grad()
        _stand(trainer.train_loader, place)
        set_random_state(random)


def _put(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Load what has a ``load_state_dict`` of its own, the loader apart."""
    trainer.model.load_state_dict(state["model"])
    if trainer.optimizer is not None:
        trainer.optimizer.load_state_dict(state["optimizer"])
    for name, meter in trainer.meters[""].items():
        meter.load_state_dict(state["meters"][name])
    for key, callback in trainer.keyed_callbacks():
        if kept := state["callbacks"].get(key):
            callback.load_state_dict(kept)


def _copies(trainer: Trainer) -> dict[str, Any]:
    """What :func:`_put` takes, none of it shared with the trainer."""
    return copy.deepcopy(
        {
            "model": trainer.model.state_dict(),
            "optimizer": None if trainer.optimizer is None else trainer.optimizer.state_dict(),
            "meters": {name: meter.state_dict() for name, meter in trainer.meters[""].items()},
            "callbacks": {key: callback.state_dict() for key, callback in trainer.keyed_callbacks()},
        }
    )


def _place(trainer: Trainer) -> Any:
    """Where the training loader stands; None if it cannot tell.

    Raises CheckpointError if it was begun anew inside the epoch, since the rest of its order is lost then.
    """
    if not trainer.inside_epoch or trainer.batches_done or trainer.batch_index == 0:
        return _between_epochs(trainer.train_loader)
    place = _told(trainer.train_loader)
    if _is_data_loaders(place) and place["batches"] != trainer.batch_index:
        raise CheckpointError(
            f"train_loader stands at batch {place['batches']}, the training at batch {trainer.batch_index}: somebody "
            "iterated over train_loader inside the epoch; use another DataLoader over the same data there"
        )
    return place


def _between_epochs(loader: Any) -> Any:
    """A loader's place between two epochs, also if the last one was cut short; None if it cannot tell."""
    place = _told(loader)
    return {**place, "batches": 0, "epoch_start": None} if _is_data_loaders(place) else place


def _told(loader: Any) -> Any:
    return loader.state_dict() if hasattr(loader, "state_dict") else None


def _is_data_loaders(place: Any) -> bool:
    return isinstance(place, Mapping) and {"batches", "epoch_start"} <= set(place)


def _stand(loader: Any, place: Any) -> None:
    """Go to a place, if there is one and the loader can."""
    if place is not None and hasattr(loader, "load_state_dict"):
        loader.load_state_dict(place)


def _check(trainer: Trainer, state: Mapping[str, Any], epochs: int | None) -> None:
    """Refuse the state of another training before anything has changed."""
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"this is not the state of a Trainer of this version: its format is {state.get('format')!r}, expected "
            f"{FORMAT}"
        )
    position = state["position"]
    if epochs is not None and position["epoch"] > epochs:
        raise CheckpointError(
            f"the checkpoint is of epoch {position['epoch']}, and the training is to end after epochs = {epochs}"
        )
    own, saved = (  # what is no tensor is a module's extra state, and its own business
        {name: tuple(getattr(value, "shape", ())) for name, value in model.items()}
        for model in (trainer.model.state_dict(), state["model"])
    )
    if own != saved:
        differing = [
            f"{name}: {saved.get(name, 'not there')} in the checkpoint, {own.get(name, 'not there')} in the model"
            for name in dict.fromkeys((*own, *saved))
            if own.get(name) != saved.get(name)
        ]
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise CheckpointError(f"the checkpoint is of another model ({'; '.join(differing[:3])}{more})")
    if trainer.optimizer is not None and state["optimizer_class"] != type(trainer.optimizer).__name__:
        raise CheckpointError(
            f"the checkpoint is of a training by {state['optimizer_class']}, this one is by "
            f"{type(trainer.optimizer).__name__}"
        )
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
    for name, meter in trainer.meters[""].items():
        if set(meter.state_dict()) != set(state["meters"][name]):
            raise CheckpointError(f"the checkpoint is of a training with another metric under the name {name!r}")
    _check_place(trainer, state)


def _check_place(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Whether the training loader can go on in the middle of an epoch, if that is where the checkpoint stands."""
    position = state["position"]
    inside = position["inside_epoch"] and not position["batches_done"] and position["batch_index"] > 0
    if inside and trainer.train_loader is not None:
        for who, able in (
            ("its loader could not tell its place", state["loader"] is not None),
            ("train_loader cannot go on there", hasattr(trainer.train_loader, "load_state_dict")),
        ):
            if not able:
                raise CheckpointError(
                    f"the checkpoint stands inside epoch {position['epoch']}, and {who}; use a DataLoader, or "
                    "checkpoints at the ends of epochs"
                )
