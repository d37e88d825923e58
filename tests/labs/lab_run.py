"""A lab run by a test, as its command line would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def runner(lab: ModuleType, *always: str) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """`run(tmp_path, *options, code=0)`: the newest folder in tmp_path/out afterwards, and its summary.

    Args: always: options that every run gets.
    """

    def run(tmp_path: Path, *options: str, code: int = 0) -> tuple[Path, dict[str, Any]]:
        out = tmp_path / "out"
        assert lab.main([*options, *always, "--out", str(out)]) == code
        folder = sorted(path for path in out.iterdir() if path.is_dir())[-1]
        return folder, json.loads((folder / "summary.json").read_text())

    return run
