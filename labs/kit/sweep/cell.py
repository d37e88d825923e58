"""One cell of a sweep, a lab in its own process. Only the standard library is needed, so any worker can run it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

POLL = 0.2  # seconds between two looks at the process and at the stop file
SIGNALS = (signal.SIGINT, signal.SIGINT, signal.SIGKILL)  # for the first Ctrl-C, the second, the third
LAST_LINES = 12


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        folder: the cell's.
        status: "finished", "interrupted", "failed", or "not started".
        exit_code: of the process; negative: the signal that ended it.
        seconds: how long it ran.
        output: the last lines of what it printed.
    """

    folder: str
    status: str
    exit_code: int | None = None
    seconds: float = 0.0
    output: str = ""

    @classmethod
    def read(cls, folder: Path) -> Outcome | None:
        """From the cell's folder; None if it was not run to an end."""
        try:
            found = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            return cls(str(folder), found["status"], found["exit_code"], found["seconds"], found["output"])
        except (OSError, ValueError, LookupError, TypeError):  # not there, or damaged
            return None


def run_cell(script: str, options: Sequence[str], folder: str, threads: int, stop: str) -> Outcome:
    """Run a lab with these options until it ends, however it ends; what it prints goes into output.txt of the folder.

    Args:
        threads: how many it may use.
        stop: a file; as many bytes as it has, as often was Ctrl-C pressed. The process, and those that it started, are
            interrupted then, or not started at all.
    """
    if _presses(stop):
        return Outcome(folder, "not started")
    started = time.monotonic()
    place = Path(folder)
    (place / "outcome.json").unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    sent = 0
    try:
        with open(place / "output.txt", "ab" if "--resume" in options else "wb") as output:
            begin = output.tell()
            process = subprocess.Popen(
                [sys.executable, script, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal is the sweep's to pass on
            )
            while (code := _wait(process)) is None:
                while sent < min(_presses(stop), len(SIGNALS)):
                    with contextlib.suppress(ProcessLookupError):  # it has just ended
                        os.killpg(process.pid, SIGNALS[sent])
                    sent += 1
        text = (place / "output.txt").read_bytes()[begin:].decode("utf-8", "replace")
    except OSError as error:  # no memory for a process, a full disk: the other cells go on
        return Outcome(folder, "failed", None, time.monotonic() - started, f"{type(error).__name__}: {error}")
    status = "finished" if code == 0 else "interrupted" if sent or code == 130 else "failed"
    outcome = Outcome(folder, status, code, round(time.monotonic() - started, 3), _last_lines(text))
    (place / "outcome.json").write_text(json.dumps(asdict(outcome), indent=2, ensure_ascii=False), encoding="utf-8")
    return outcome


def _presses(stop: str) -> int:
    try:
        return os.stat(stop).st_size
    except OSError:
        return 0


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code, or None while it runs."""
    try:
        return process.wait(POLL)
    except subprocess.TimeoutExpired:
        return None


def _last_lines(text: str) -> str:
    """The end of the output; of a progress bar, which is drawn over and over, each state is a line."""
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    return "\n".join(lines[-LAST_LINES:])
