"""The state of a training, from which it continues as if it had never been interrupted."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import kernels
from ..nn.inspection.preserved import EVERYTHING, preserved
from ..random import random_state, set_random_state
from .checkpoint import CheckpointError
from .trainer_base import TrainerBase

FORMAT = 1
_POSITION = ("epoch", "batch_index", "step", "inside_epoch", "batches_done")


class ResumableTrainer(TrainerBase):
    """The part of the Trainer that saves and loads the state of a training."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides how the training continues, for ``fit(resume=…)``. Tensors are not copied."""
        position = {name: getattr(self, name) for name in _POSITION}
        return {
            "format": FORMAT,
            "threads": kernels.get_num_threads(),
            "position": {**position, "stopped": None if self.interrupted else self.stopped},
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_class": type(self.optimizer).__name__,
            "loader": self._loader_position(),
            "val_loader": _between_epochs(self.val_loader),
            "random": random_state(),
            "meters": {name: meter.state_dict() for name, meter in self.meters[""].items()},
            "callbacks": {key: callback.state_dict() for key, callback in self.keyed_callbacks()},
            "logs": dict(self.logs),
            "performance": dict(self.performance),
            "history": list(self.history),
            "performance_history": list(self.performance_history),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a :meth:`state_dict`; ``fit(resume=…)`` does so after it has set the loaders.

        A position inside an epoch needs a loader that can continue there, such as a DataLoader. Raises CheckpointError
        if the state is of another training; nothing has changed then.
        """
        self._restore(state)

    def _restore(self, state: Mapping[str, Any], epochs: int | None = None) -> None:
        """``epochs``: those of the fit, which the state must not be beyond."""
        self._check(state, epochs)
        before, random, validation = self._copies(), random_state(), _between_epochs(self.val_loader)
        try:
            self._put(state)
            set_random_state(state["random"])
            _go_to(self.val_loader, state["val_loader"])
            _go_to(self.train_loader, state["loader"])  # last, since it changes all or nothing
        except BaseException as error:
            self._put(before)
            set_random_state(random)
            _go_to(self.val_loader, validation)
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            raise CheckpointError(f"the checkpoint does not fit this training: {error}") from error
        if state.get("threads", kernels.get_num_threads()) != kernels.get_num_threads():
            warnings.warn(
                f"Trainer.fit: the checkpoint was written on {state['threads']} threads and goes on on "
                f"{kernels.get_num_threads()}: sums may round otherwise, so metrics may differ in their last digits",
                stacklevel=3,
            )
        for name in (*_POSITION, "stopped"):
            setattr(self, name, state["position"][name])
        self.logs, self.performance = dict(state["logs"]), dict(state["performance"])
        self.history = [dict(row) for row in state["history"]]
        self.performance_history = [dict(row) for row in state["performance_history"]]
        if self.optimizer is not None:  # schedulers warn unless it has made steps
            self.optimizer._step_count = max(self.optimizer._step_count, self.step)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """A context at whose end model, optimizer, random state and loader are as before."""
        optimizer, position = copy.deepcopy(self.optimizer.state_dict()), self._loader_position()
        with preserved(self.model, *EVERYTHING):
            try:
                yield
            finally:
                self.optimizer.load_state_dict(optimizer)
                _go_to(self.train_loader, position)

    def _put(self, state: Mapping[str, Any]) -> None:
        """Load all that has a ``load_state_dict``, except the loaders."""
        self.model.load_state_dict(state["model"])
        if self.optimizer is not None:
            self.optimizer.load_state_dict(state["optimizer"])
        for name, meter in self.meters[""].items():
            meter.load_state_dict(state["meters"][name])
        for key, callback in self.keyed_callbacks():
            if kept := state["callbacks"].get(key):
                callback.load_state_dict(kept)

    def _copies(self) -> dict[str, Any]:
        """What :func:`_put` takes, none of it shared with the self."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": None if self.optimizer is None else self.optimizer.state_dict(),
                "meters": {name: meter.state_dict() for name, meter in self.meters[""].items()},
                "callbacks": {key: callback.state_dict() for key, callback in self.keyed_callbacks()},
            }
        )

    def _loader_position(self) -> Any:
        """The position of the training loader in its epoch; None if it has none.

        Raises CheckpointError if the loader was started again inside the epoch: the rest of its order is lost then.
        """
        if not self.inside_epoch or self.batches_done or self.batch_index == 0:
            return _between_epochs(self.train_loader)
        position = _told(self.train_loader)
        if _is_data_loaders(position) and position["batches"] != self.batch_index:
            raise CheckpointError(
                f"train_loader stands at batch {position['batches']}, the training at batch {self.batch_index}: "
                "it was iterated over inside the epoch; use another DataLoader over the same data there"
            )
        return position

    def _check(self, state: Mapping[str, Any], epochs: int | None) -> None:
        """Raise CheckpointError for the state of another training, before anything has changed."""
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
        own, saved = (  # a value that is not a tensor is a module's extra state, which it checks itself
            {name: tuple(getattr(value, "shape", ())) for name, value in model.items()}
            for model in (self.model.state_dict(), state["model"])
        )
        if own != saved:
            differing = [
                f"{name}: {saved.get(name, 'not there')} in the checkpoint, {own.get(name, 'not there')} in the model"
                for name in dict.fromkeys((*own, *saved))
                if own.get(name) != saved.get(name)
            ]
            more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
            raise CheckpointError(f"the checkpoint is of another model ({'; '.join(differing[:3])}{more})")
        if self.optimizer is not None and state["optimizer_class"] != type(self.optimizer).__name__:
            raise CheckpointError(
                f"the checkpoint is of a training by {state['optimizer_class']}, this one is by "
                f"{type(self.optimizer).__name__}"
            )
        remembering = {key for key, callback in self.keyed_callbacks() if callback.state_dict()}
        for what, mine, theirs in (
            ("metrics", set(self.meters[""]), set(state["meters"])),
            ("callbacks", remembering, {key for key, kept in state["callbacks"].items() if kept}),
        ):
            if mine != theirs:
                raise CheckpointError(
                    f"the checkpoint is of a training with the {what} {', '.join(sorted(theirs)) or 'none'}; "
                    f"this one has {', '.join(sorted(mine)) or 'none'}"
                )
        for name, meter in self.meters[""].items():
            if set(meter.state_dict()) != set(state["meters"][name]):
                raise CheckpointError(f"the checkpoint is of a training with another metric under the name {name!r}")
        self._check_position(state)

    def _check_position(self, state: Mapping[str, Any]) -> None:
        """Raise CheckpointError if the state is inside an epoch and the training loader cannot continue there."""
        position = state["position"]
        inside = position["inside_epoch"] and not position["batches_done"] and position["batch_index"] > 0
        if inside and self.train_loader is not None:
            for who, able in (
                ("its loader could not tell its place", state["loader"] is not None),
                ("train_loader cannot go on there", hasattr(self.train_loader, "load_state_dict")),
            ):
                if not able:
                    raise CheckpointError(
                        f"the checkpoint stands inside epoch {position['epoch']}, and {who}; use a DataLoader, or "
                        "checkpoints at the ends of epochs"
                    )


def _between_epochs(loader: Any) -> Any:
    """A loader's position at the end of an epoch, even if that was cut short; None if it has none."""
    position = _told(loader)
    return {**position, "batches": 0, "epoch_start": None} if _is_data_loaders(position) else position


def _told(loader: Any) -> Any:
    return loader.state_dict() if hasattr(loader, "state_dict") else None


def _is_data_loaders(position: Any) -> bool:
    return isinstance(position, Mapping) and {"batches", "epoch_start"} <= set(position)


def _go_to(loader: Any, position: Any) -> None:
    """Bring a loader to a position, if there is one and the loader can."""
    if position is not None and hasattr(loader, "load_state_dict"):
        loader.load_state_dict(position)
