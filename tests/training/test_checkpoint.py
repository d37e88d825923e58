"""Checkpoints as files: whole or not there, and damage is told from what was written."""

from __future__ import annotations

import enum
import errno
import os
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.random import random_state, set_random_state
from minigrad.training import CheckpointError, load_checkpoint, save_checkpoint
from minigrad.training.checkpoint import checkpoint_name, checkpoints_in


class Colour(enum.IntEnum):
    RED = 3


class Name(str):
    __slots__ = ()


STATE = {
    "weights": OrderedDict(a=minigrad.tensor([[1.0, -0.0], [np.nan, np.inf]]), b=minigrad.zeros(0, 3)),
    "half": minigrad.tensor([1.5], dtype=minigrad.float16),
    "transposed": minigrad.tensor(np.arange(6.0).reshape(2, 3)).T,
    "array": np.arange(5)[::-2],
    "scalar": minigrad.tensor(True),
    "numbers": [1, 2.5, -0.0, 1e300, float("inf"), np.float32(0.1), np.int64(-3), np.bool_(True), 2**100],
    "text": ("ü", "", Name("name"), None, True),
    "count": Counter({2: 3}),
    "member": Colour.RED,
    0: {None: {}, (1, "x"): [], np.int64(7): (), 1.5: "", Colour.RED: 1},
}


def same(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "numpy") or isinstance(a, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


def test_any_state_comes_back(tmp_path):
    path = tmp_path / "state.safetensors"
    save_checkpoint(STATE, path)
    assert same(load_checkpoint(path), STATE)
    assert isinstance(load_checkpoint(path)["weights"]["a"], minigrad.Tensor)
    assert isinstance(load_checkpoint(path)["array"], np.ndarray)


def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "state.safetensors"
    save_checkpoint({"a": 1}, path)
    with pytest.raises(TypeError, match=r"obj\['state'\]\['f'\] is a function"):
        save_checkpoint({"f": test_any_state_comes_back}, path)
    assert load_checkpoint(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_names_and_order(tmp_path):
    for step in (100_000_000, 20, 3):
        save_checkpoint({"step": step}, tmp_path / checkpoint_name(step))
    for other in ("best.safetensors", "step-1.txt", "step-x.safetensors", ".minigrad-0.tmp"):
        (tmp_path / other).write_text("")
    found = [p.name for p in checkpoints_in(tmp_path)]
    assert found == ["step-00000003.safetensors", "step-00000020.safetensors", "step-100000000.safetensors"]
    assert load_checkpoint(tmp_path) == {"step": 100_000_000}  # a folder: the newest


# ----------------------------------------------------------------------------------------------------------- damage


def three(folder):
    """Three checkpoints; the bytes of the newest, and its path."""
    for step in (1, 2, 3):
        save_checkpoint(
            {"step": step, "w": minigrad.full((50,), float(step)), "name": "text"}, folder / checkpoint_name(step)
        )
    return folder / checkpoint_name(3), bytearray((folder / checkpoint_name(3)).read_bytes())


@pytest.mark.parametrize("how", ["empty", "cut", "one byte less", "one byte more", "noise", "pickle", "text"])
def test_damaged_files_and_the_whole_one_before(tmp_path, how):
    path, content = three(tmp_path)
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[: len(content) // 2],
            "one byte less": content[:-1],
            "one byte more": content + b"\0",
            "noise": np.random.default_rng(0).bytes(len(content)),
            "pickle": b"\x80\x04." + content,
            "text": b"step 3",
        }[how]
    )
    for asked in (path, tmp_path):
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(asked)
        assert f"the checkpoint {path} is damaged" in str(caught.value)
        assert f"go on from the one before it, which is whole: {tmp_path / checkpoint_name(2)}" in str(caught.value)
    assert load_checkpoint(tmp_path / checkpoint_name(2))["step"] == 2
    (tmp_path / checkpoint_name(2)).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"which is whole: .*step-00000001.safetensors"):
        load_checkpoint(path)
    (tmp_path / checkpoint_name(1)).write_bytes(b"")
    with pytest.raises(CheckpointError, match="there is no other one in its folder that is whole"):
        load_checkpoint(path)


def test_any_flipped_byte_is_found(tmp_path):
    """In the numbers, the text, the structure, the digest and the header: damage, and never another state."""
    path, content = three(tmp_path)
    whole = load_checkpoint(path)
    rng = np.random.default_rng(0)
    places = [len(content) - 100, *rng.integers(0, len(content), 150)]
    for place in places:
        changed = content.copy()
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            continue
        assert same(found, whole), place  # such as a name in the header that nobody reads
    changed = content.copy()
    changed[-100] ^= 1
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match="its content is not what was written: the digest differs"):
        load_checkpoint(path)


def test_files_that_are_something_else(tmp_path):
    minigrad.save({"w": minigrad.ones(2)}, tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"best.safetensors is no checkpoint: it holds tensors alone"):
        load_checkpoint(tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nothing.safetensors"):
        load_checkpoint(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError, match=r"there is no checkpoint \(step-….safetensors\) in"):
        load_checkpoint(tmp_path)
    assert issubclass(CheckpointError, ValueError)
    assert issubclass(CheckpointError, RuntimeError)


# ----------------------------------------------------------------------------------------- disks that will not take it


def test_a_full_disk_leaves_the_file_of_before(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    save_checkpoint({"a": 1}, path)

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint({"a": 2}, path)
    monkeypatch.undo()
    assert load_checkpoint(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


LIMITED = """
import resource, signal, sys
import numpy as np
from minigrad.training import load_checkpoint, save_checkpoint
path = sys.argv[1]
save_checkpoint({"a": np.ones(10)}, path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint({"a": np.ones(100_000)}, path)
except OSError as error:
    print(error.errno)
print(load_checkpoint(path)["a"].sum())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of this kind are Unix's")
def test_a_disk_that_is_full_in_the_middle_of_a_write(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(minigrad.__file__).parents[1]), "MINIGRAD_QUIET": "1"}
    path = tmp_path / "state.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == [str(errno.EFBIG), "10.0"]
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save_checkpoint({"a": 1}, tmp_path / "file" / "state.safetensors")
    with pytest.raises(FileNotFoundError, match="does not exist; make it first"):
        save_checkpoint({"a": 1}, tmp_path / "nowhere" / "state.safetensors")


# --------------------------------------------------------------------------------------------------- random numbers


def test_random_states_go_through_a_file(tmp_path):
    import random

    def draw():
        return [
            *(random.random(), random.gauss(0, 1)),
            *(np.random.rand(), np.random.randn()),
            *minigrad.rand(3).tolist(),
            *minigrad.randn(3).tolist(),
        ]

    draw()  # leaves half a pair of normal numbers in Python's generator, and in NumPy's
    save_checkpoint(random_state(), tmp_path / "random.safetensors")
    expected = draw()
    draw()
    set_random_state(load_checkpoint(tmp_path / "random.safetensors"))
    assert draw() == expected
