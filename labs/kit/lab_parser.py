"""An argument parser that also takes a lab's options from a JSON file."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

# Options that say nothing about what a run computes.
NOT_SETTINGS = ("help", "config", "resume", "out", "data", "check")


def did_you_mean(name: str, known: Iterable[str], most: int = 3, cutoff: float = 0.4) -> str:
    """A sentence with the known names that are most like a mistyped one; nothing if none is."""
    near = difflib.get_close_matches(name, list(known), n=most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}? " if near else ""


class LabParser(argparse.ArgumentParser):
    """A lab's options, which may also come from a file: ``--config FILE``, or with ``--resume`` those of the run.

    The file is JSON, {option: value}, with ``_`` for ``-`` in the names; options on the command line win over it. What
    a run was started with stands in its ``experiment_template.json``.
    """

    lab = ""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument("--config", type=Path)
        first.add_argument("--resume", type=Path)
        files, _ = first.parse_known_args(args)
        if files.config is not None:
            self.set_defaults(**self.settings_in(files.config, "--config"))
        if files.resume is not None and any(a.dest == "resume" for a in self._actions):
            self.set_defaults(**self.settings_in(run_folder(files.resume) / "experiment_template.json", "--resume"))
        parsed = super().parse_args(args, namespace)
        settings = {a.dest: getattr(parsed, a.dest) for a in self._actions if a.dest not in NOT_SETTINGS}
        parsed.template = {"lab": self.lab, **settings}
        if getattr(parsed, "check", False):
            self.exit(0, "The settings are valid.\n")
        return parsed

    def settings_in(self, path: Path, option: str) -> dict[str, Any]:
        """The settings in a file, each checked as on the command line; ends the program if one is wrong."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            self.error(f"argument {option}: cannot read {path} ({error.strerror})")
        except ValueError as error:
            self.error(f"argument {option}: {path} is not JSON: {error}")
        if not isinstance(found, dict):
            self.error(f"argument {option}: {path} holds a {type(found).__name__}, expected {{setting: value}}")
        lab = found.pop("lab", self.lab)
        if lab != self.lab:
            self.error(f"argument {option}: {path} is of the lab {lab}, this one is {self.lab}")
        actions = {a.dest: a for a in self._actions if a.dest not in NOT_SETTINGS}
        for key in found:
            if key not in actions:
                hint = did_you_mean(key, actions, cutoff=0.5)
                self.error(
                    f"argument {option}: {path} has the unknown setting {key!r}; {hint}There are: {', '.join(actions)}"
                )
        return {key: self._checked(actions[key], value, f"{option}: {path}") for key, value in found.items()}

    def _checked(self, action: argparse.Action, value: Any, where: str) -> Any:
        if value is None:
            return None
        if action.nargs == 0:
            if not isinstance(value, bool):
                self.error(f"argument {where}: {action.dest} is {value!r}, expected true or false")
            return value
        many = isinstance(value, list)
        if many != (action.nargs is not None):
            self.error(f"argument {where}: {action.dest} is {value!r}, expected {'one value' if many else 'a list'}")
        values = []
        for item in value if many else [value]:
            try:
                values.append(self._get_value(action, str(item)))
                self._check_value(action, values[-1])
            except argparse.ArgumentError as error:
                self.error(f"argument {where}: {action.dest}: {error.message}")
        return values if many else values[0]


def run_folder(resumed: Path) -> Path:
    """The folder of the run that `--resume` names by itself or by one of its checkpoints."""
    return resumed.parent.parent if resumed.is_file() else resumed
