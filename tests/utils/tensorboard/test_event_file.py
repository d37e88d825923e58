"""Event files: after a kill, on a full disk, side by side."""

from __future__ import annotations

import errno
import subprocess
import sys

from events import events, scalars, values

import minigrad
from minigrad import nn
from minigrad.utils.tensorboard import SummaryWriter


def test_two_writers_in_one_folder_keep_both_files(tmp_path):
    with SummaryWriter(tmp_path) as one, SummaryWriter(tmp_path) as other, SummaryWriter(tmp_path):
        one.add_scalar("a", 1.0, 0)
        other.add_scalar("b", 2.0, 0)
        assert scalars(tmp_path) == [("a", 0, 1.0), ("b", 0, 2.0)]  # before either is closed
    assert len(list(tmp_path.iterdir())) == 3


def test_what_was_added_is_there_after_a_kill(tmp_path):
    code = (
        "import os, signal, sys\n"
        "from minigrad.utils.tensorboard import SummaryWriter\n"
        "writer = SummaryWriter(sys.argv[1])\n"
        "for step in range(100): writer.add_scalar('loss', step, step)\n"
        "writer.add_text('notes', 'x' * 100_000)\n"
        "writer.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert len(values(tmp_path)) == 101


def test_a_full_disk_raises_and_leaves_whole_records(tmp_path):
    code = (
        "import resource, sys\n"
        "from minigrad.utils.tensorboard import SummaryWriter\n"
        "writer = SummaryWriter(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))\n"
        "writer.add_scalar('first', 1, 0)\n"
        "for _ in range(2):\n"
        "    try: writer.add_text('notes', 'x' * 10_000)\n"
        "    except OSError as error: print(error.errno, error.filename)\n"
        "writer.add_scalar('last', 2, 0)\n"
        "writer.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    (file,) = tmp_path.iterdir()
    assert done.stdout.splitlines() == [f"{errno.EFBIG} {file}"] * 2, done.stderr
    assert scalars(tmp_path) == [("first", 0, 1.0), ("last", 0, 2.0)]


def test_after_close_another_file_is_opened(tmp_path):
    writer = SummaryWriter(tmp_path, purge_step=3)
    writer.add_scalar("a", 1.0, 5)
    writer.close()
    writer.close()
    writer.flush()
    writer.add_scalar("a", 2.0, 6)
    writer.add_scalars("both", {"x": 1.0}, 6)
    writer.add_graph(nn.Linear(2, 1), minigrad.ones(1, 2))
    writer.add_hparams({"lr": 0.1}, {"accuracy": 0.5}, run_name="trial")
    writer.close()
    assert writer.get_logdir() == str(tmp_path)
    assert len(list(tmp_path.glob("events.*"))) == 2
    assert ("a", 6, 2.0) in scalars(tmp_path)
    # Only what was there before this writer is hidden, not what it wrote itself.
    assert [event.step for event in events(tmp_path) if event.HasField("session_log")] == [3]
