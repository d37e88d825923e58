"""Kernels kept on disk: whatever happens to their files, a program runs, and the numbers are right."""

from __future__ import annotations

import _thread
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.kernels.machine import cache
from minigrad.kernels.machine import compile as compile_

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
from minigrad.kernels.machine.compile import jit

@jit
def double(x):
    return x + x

@jit
def add_twice(x, y):
    return double(x) + double(y)
"""
FACTORY = """
from minigrad.kernels.machine.compile import jit

def twice(f):
    @jit
    def g(x):
        return f(f(x))
    return g

add, multiply = twice(jit(lambda x: x + 3)), twice(jit(lambda x: x * 3))
"""
DAMAGED = "minigrad: a damaged file in the cache of kernels: "
NOT_KEPT = "minigrad: compiled kernels cannot be kept: "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where kernels are kept in this test."""
    monkeypatch.setenv("MINIGRAD_QUIET", "1")
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache" / "version")
    return tmp_path / "cache" / "version"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


def fresh(program: Path, name: str = "add_twice") -> Any:
    """A kernel of the program as a new process has it: nothing is compiled, nothing has been said."""
    cache._said.clear()
    cache._digest_of_file.cache_clear()
    names = {"__name__": "program"}
    exec(compile(program.read_text(), program, "exec"), names)
    return names[name].launch


@pytest.fixture
def run(folder: Path, program: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], list[str]]]:
    """Runs the program; the lines that it said."""

    def call() -> list[str]:
        assert fresh(program)(3.5, 4.0) == 15
        return capsys.readouterr().err.splitlines()

    yield call
    cache._said.clear()


def contents(folder: Path) -> dict[Path, int]:
    """The files of a folder, and which file each is."""
    return {f: f.stat().st_ino for f in folder.rglob("*") if f.is_file()}


def test_what_is_kept_is_used(folder: Path, run: Callable[[], list[str]]) -> None:
    assert run() == []
    before = contents(folder)
    assert len(before) == 2
    assert run() == []
    assert contents(folder) == before


def cut(keep: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(keep * len(data))]


def flipped(at: float) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        i = int(at * (len(data) - 1))
        return data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :]

    return damage


DAMAGES = {
    "emptied": cut(0),
    "short": lambda data: data[:7],
    "only the digest": lambda data: data[:32],
    "half": cut(0.5),
    "nearly whole": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "noise": lambda data: random.Random(0).randbytes(len(data)),
    "text": lambda data: b"<html>not found</html>",
    **{f"a bit at {at}": flipped(at) for at in (0, 0.001, 0.1, 0.35, 0.6, 0.85, 1)},
}


def test_kernels_of_one_factory_are_kept_apart(folder: Path, program: Path) -> None:
    """They are one text; what differs is the function that each closes over."""
    program.write_text(FACTORY)
    assert (fresh(program, "add")(2.0), fresh(program, "multiply")(2.0)) == (8, 18)
    kept = contents(folder)
    assert len(kept) == 4
    assert (fresh(program, "multiply")(2.0), fresh(program, "add")(2.0)) == (18, 8)
    assert contents(folder) == kept


def test_a_damaged_file_is_compiled_again_and_replaced(folder: Path, run: Callable[[], list[str]]) -> None:
    run()
    for name, damage in DAMAGES.items():
        files = contents(folder)
        for file in files:
            file.write_bytes(damage(file.read_bytes()))
        (line,) = run()  # once, for both
        assert line.startswith(DAMAGED), name
        assert any(str(file) in line for file in files), name
        assert run() == [], name


def test_a_file_of_another_program_is_no_kernel(folder: Path, run: Callable[[], list[str]]) -> None:
    """Sound by its digest, and yet not to be used."""
    run()
    for file in contents(folder):
        code = b"\x80\x04N."  # a pickled None
        file.write_bytes(cache.hashlib.sha256(code).digest() + code)
    (line,) = run()
    assert line.startswith(DAMAGED)
    assert run() == []


def test_a_folder_in_a_files_place(folder: Path, run: Callable[[], list[str]]) -> None:
    run()
    for file in contents(folder):
        file.unlink()
        file.mkdir()
    first, second = run()
    assert first.startswith(DAMAGED)
    assert second.startswith(NOT_KEPT)


def test_a_folder_deleted_meanwhile_is_made_again(folder: Path, run: Callable[[], list[str]]) -> None:
    run()
    shutil.rmtree(folder.parent)
    assert run() == []
    assert len(contents(folder)) == 2


def test_a_folder_that_cannot_be_made(folder: Path, run: Callable[[], list[str]]) -> None:
    folder.parent.write_text("a file")
    (line,) = run()
    assert line.startswith(NOT_KEPT)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_became_read_only(folder: Path, run: Callable[[], list[str]]) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    (line,) = run()
    assert line.startswith(NOT_KEPT)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system")])
def test_a_disk_that_takes_nothing(
    folder: Path, run: Callable[[], list[str]], error: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(cache.os, "replace", fail)
    (line,) = run()
    assert line.startswith(NOT_KEPT)
    assert error.strerror in line
    assert contents(folder) == {}, "nothing unfinished stays"
    monkeypatch.undo()


def test_functions_on_one_line_are_told_apart(folder: Path, program: Path) -> None:
    """Their code differs in a name or a number alone."""
    program.write_text(
        "from math import cos, sin\nfrom minigrad.kernels.machine.compile import jit\n"
        "a, b, c, d = jit(lambda x: sin(x)), jit(lambda x: cos(x)), jit(lambda x: x + 2.5), jit(lambda x: x + 3.5)\n"
    )
    assert [fresh(program, name)(0.0) for name in "abcd"] == [0.0, 1.0, 2.5, 3.5]
    assert len(contents(folder)) == 4


def test_an_edited_program_is_compiled_anew(folder: Path, program: Path, run: Callable[[], list[str]]) -> None:
    """Also where only a helper of the kernel has changed."""
    run()
    program.write_text(PROGRAM.replace("x + x", "x * 3 - x"))
    run()
    assert len(contents(folder)) == 4


def test_a_kernel_without_a_file_is_not_kept(folder: Path) -> None:
    assert compile_.jit(eval("lambda x: 2 * x")).launch(4.0) == 8
    assert contents(folder) == {}


def test_ctrl_c_while_compiling(folder: Path, program: Path, run: Callable[[], list[str]]) -> None:
    """Whenever it comes: the process can go on, and no part of a file stays."""
    for delay in (0.001, 0.02, 0.05, 0.1, 0.15):
        kernel = fresh(program)
        timer = threading.Timer(delay, _thread.interrupt_main)
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (it may have been compiled before)
            timer.start()
            kernel(1.0, 2.5)
            timer.join()
            kernel(1.0, 2.5)
        timer.join()
        assert kernel(3.5, 4.0) == 15
        assert run() == []
        assert len(contents(folder)) == 2
        shutil.rmtree(folder)


def test_processes_that_write_at_once(tmp_path: Path, program: Path) -> None:
    """And one that is killed meanwhile."""
    program.write_text(PROGRAM + "print(add_twice.launch(3.5, 4.0))")
    environment = os.environ | {"MINIGRAD_CACHE": str(tmp_path / "cache"), "MINIGRAD_QUIET": "1"}
    environment["PYTHONPATH"] = str(ROOT)

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(program)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    killed, *others = (start() for _ in range(3))
    others[0].communicate(timeout=120)
    killed.kill()
    killed.communicate()
    for process in (*others[1:], start()):
        out, err = process.communicate(timeout=120)
        assert (out, err, process.returncode) == ("15.0\n", "", 0)
