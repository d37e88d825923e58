"""``python -m minigrad.porting [--diff | --check] SCRIPT [ARGS...]``"""

from __future__ import annotations

import argparse
import difflib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from ..terminal import readable_output
from .check import missing, names_used
from .rewrite import files_of, ported, read, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run a PyTorch program on minigrad, or show what that would change or lack. Returns the exit status: 0, or 1 where
    the program failed or a name is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad.porting",
        description="Run a PyTorch program on minigrad: in its import lines, and in those of the modules beside it, "
        "torch and torchvision become minigrad. Files stay as they are.",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--diff", action="store_true", help="only show the lines that change, as a patch")
    mode.add_argument(
        "--check",
        action="store_true",
        help="only list the names of torch and torchvision that are used and that minigrad has not",
    )
    parser.add_argument("script", type=Path, help="the program's file")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the program's own arguments")
    options = parser.parse_args(argv)
    if not options.script.is_file():
        parser.error(f"{str(options.script)!r} is {'a folder' if options.script.is_dir() else 'not there'}")
    try:
        if options.diff:
            readable_output()
            show_diff(options.script)
            return 0
        if options.check:
            return show_missing(options.script)
        run(options.script, options.args)
    except Exception as error:
        show_error(error, options.script)
        return 1
    return 0


def show_diff(script: Path) -> None:
    """Print the lines that change, in the form that ``patch`` reads."""
    for file in files_of(script):
        before = read(file)
        old, new = before.splitlines(keepends=True), ported(before).splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, str(file), str(file), n=0))


def show_missing(script: Path) -> int:
    """Print the names that minigrad has not; 1 if there are any."""
    files, found = files_of(script), missing(script)
    for one in found:
        print(one)
    used = {name for file in files for _, name in names_used(read(file))}
    lacking, where = len({one.name for one in found}), "one file" if len(files) == 1 else f"{len(files)} files"
    print(f"{len(used)} names of torch and torchvision in {where}; {lacking or 'none'} not in minigrad.")
    return 1 if found else 0


def show_error(error: Exception, script: Path) -> None:
    """The traceback from the program's own frames on, and a hint where a name is missing."""
    frames, here = error.__traceback__, str(Path(__file__).parent)
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename.startswith(here):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
    if isinstance(error, (ImportError, AttributeError)) and "minigrad" in str(error):
        print(f"python -m minigrad.porting --check {script} lists all such names.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
