"""The tool that runs PyTorch programs on minigrad: what it rewrites, how it runs them, which names it finds missing."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

import minigrad
from minigrad.porting import missing, ported, run
from minigrad.porting.__main__ import main


def write(folder: Path, **files: str) -> Path:
    """Python files by the names they are imported under; returns the first."""
    paths = []
    for name, text in files.items():
        path = folder / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        paths.append(path)
    return paths[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import torch", "import minigrad as torch"),
        ("import torch as th", "import minigrad as th"),
        ("import torch.nn as nn", "import minigrad.nn as nn"),
        ("import torch.utils.data", "import minigrad as torch, minigrad.utils.data"),
        ("import torchvision", "import minigrad as torchvision"),
        ("import os, torch, torchvision.transforms as T", "import os, minigrad as torch, minigrad.transforms as T"),
        ("from torch import nn, optim", "from minigrad import nn, optim"),
        ("from torch.nn import functional as F", "from minigrad.nn import functional as F"),
        ("from torchvision.utils import *", "from minigrad.utils import *"),
        ("from torch.nn import (\n    Linear,\n    ReLU,\n)", "from minigrad.nn import (\n    Linear,\n    ReLU,\n)"),
        ("from \\\n  torch import nn", "from \\\n  minigrad import nn"),
        ("if 1:\n    é = 'ä'; import torch", "if 1:\n    é = 'ä'; import minigrad as torch"),
        ("def f():\n\tfrom torch import nn\r\n", "def f():\n\tfrom minigrad import nn\r\n"),
        ('"""import torch"""\nx = "from torch import nn"  # import torch\n', None),
        (
            "import torchmetrics, mytorch.nn\nfrom torchtext import data\nfrom .torch import nn\n",
            None,
        ),
        ("import torch_geometric as torch\ntorch.nn", None),
    ],
)
def test_what_becomes_of_an_import(before: str, after: str | None) -> None:
    assert ported(before) == (before if after is None else after)


def test_a_program_runs_with_its_arguments_and_as_the_main_one(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        program='''
        """A docstring, and a future import, which must stay first."""
        from __future__ import annotations
        import sys
        import torch
        import torch.nn.functional as F
        from torch import nn, Tensor as T

        def f(x: NotDefined) -> T:
            return F.relu(x)

        if __name__ == "__main__":
            answer = f(torch.tensor([-1.0, 2.0]) * int(sys.argv[1])).tolist()
            is_main = sys.modules["__main__"].f is f
            isinstance_of = isinstance(nn.Linear(1, 1).weight, T)
        ''',
    )
    before = script.read_text()
    main_module, argv, path, finders = sys.modules["__main__"], sys.argv, list(sys.path), list(sys.meta_path)
    names = run(script, ["3"])
    assert names["answer"] == [0, 6]
    assert names["is_main"]
    assert names["isinstance_of"]
    assert names["torch"] is minigrad
    assert "answer" not in run(script, run_name="only_defined")
    assert script.read_text() == before
    assert (sys.modules["__main__"], sys.argv, sys.path, sys.meta_path) == (main_module, argv, path, finders)


SEVERAL = {
    "program": """
        import torch
        from helpers import halve
        from package import inner, Outer
        import package.deep.leaf as leaf
        def later():
            import late
            return late.torch
        modules = [torch, inner.torch, leaf.nn.Module, later()]
        value = halve(torch.ones(2)).tolist()
        """,
    "helpers": "import torch\nhalve = lambda x: torch.div(x, 2)",
    "late": "import torch",
    "package.__init__": "from .inner import Outer\nfrom . import inner",
    "package.inner": "import torch\nfrom .deep import leaf\nclass Outer(torch.nn.Module): pass",
    "package.deep.__init__": "",
    "package.deep.leaf": "from torch import nn",
}


@pytest.mark.parametrize("folder", ["the same", "another"])
def test_the_modules_beside_a_program_are_rewritten_too_and_forgotten(tmp_path: Path, folder: str) -> None:
    script = write(tmp_path, **SEVERAL)
    own = sys.modules["helpers"] = ModuleType("helpers")  # another program's, loaded before
    own.__file__ = str((tmp_path if folder == "the same" else tmp_path.parent) / "helpers.py")
    try:
        names = run(script)
        assert sys.modules.pop("helpers") is own
    finally:
        sys.modules.pop("helpers", None)
    assert names["modules"] == [minigrad, minigrad, minigrad.nn.Module, minigrad]
    assert names["value"] == [0.5, 0.5]
    assert not {"package", "package.inner", "package.deep.leaf", "late"} & set(sys.modules)
    assert not list(tmp_path.rglob("*.pyc"))  # bytecode of the rewritten text would be taken for that of the file


def test_pytorch_in_the_same_process_stays_what_it_is(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    script = write(tmp_path, program="import torch, helpers\n", helpers="import torch\nimport torch.nn as nn\n")
    names = run(script)
    assert names["torch"] is names["helpers"].torch is minigrad
    assert names["helpers"].nn is minigrad.nn
    assert sys.modules["torch"] is torch
    sys.path.insert(0, str(tmp_path))
    try:
        helpers = __import__("helpers")
        assert helpers.torch is torch
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("helpers", None)


def test_after_a_failure_all_is_as_it_was(tmp_path: Path) -> None:
    script = write(tmp_path, program="import helpers\n", helpers="import torch\ntorch.zeros(2).view(3)\n")
    before = (sys.argv, list(sys.path), list(sys.meta_path), set(sys.modules))
    with pytest.raises(ValueError, match="reshape") as caught:
        run(script)
    assert caught.traceback[-1].path == Path(minigrad.__file__).parent / "ops" / "shape.py"
    assert any(entry.path == tmp_path / "helpers.py" and entry.lineno == 1 for entry in caught.traceback)
    assert (sys.argv, sys.path, sys.meta_path) == before[:3]
    assert "helpers" not in sys.modules
    with pytest.raises(SyntaxError):
        run(write(tmp_path, broken="import torch as\n"))
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "nowhere.py")


def test_a_file_in_another_encoding_is_read_as_python_reads_it(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_bytes("# -*- coding: latin-1 -*-\nimport torch; text = 'é'\n".encode("latin-1"))
    assert run(script)["text"] == "é"


NAMES = {
    "program": """
        import torch, torchvision
        import torch.nn as nn
        import torch.nn.functional as F
        from torch.utils import data
        from torch.optim import *
        from torchvision import models, transforms as T
        from helpers import something
        torch.manual_seed(0)
        nn.Conv3d(3, 4, 1)
        F.relux(torch.zeros(2)).anything
        torch.nn.Module.register_forward_hook, torch.nn.Module.register_nothing
        torch.float32.nothing
        torch.backends.cudnn.new_switch = torch.backends.cudnn.unheard
        def shadowed(nn, *, T):
            nn.nothing, T.nothing, [F.nothing for F in ()], (lambda torch: torch.nothing)
            data = 3
            data.nothing
            return torchvision.ops.nms
        nn.init.xavier_uniform
        nn.modules.linear.Linear
        """,
    "helpers": "from torch.fft import fft\nimport torch.distributed as dist\nimport package.inner\ndist.barrier()\n",
    "package.__init__": "",
    "package.inner": "from . import deep",
    "package.deep": "from torch.nn import CTCLoss",
}


def test_the_names_that_are_missing_are_found_without_running(tmp_path: Path) -> None:
    script = write(tmp_path, **NAMES)
    found = missing(script)
    assert [(one.file.name, one.line, one.name) for one in found] == [
        ("program.py", 7, "torchvision.models"),
        ("program.py", 10, "torch.nn.Conv3d"),
        ("program.py", 11, "torch.nn.functional.relux"),
        ("program.py", 12, "torch.nn.Module.register_nothing"),
        ("program.py", 14, "torch.backends.cudnn.unheard"),
        ("program.py", 19, "torchvision.ops.nms"),
        ("helpers.py", 1, "torch.fft"),
        ("helpers.py", 2, "torch.distributed"),
        ("helpers.py", 4, "torch.distributed"),
        ("deep.py", 1, "torch.nn.CTCLoss"),
    ]
    assert "torch.nn.functional.relu" in found[2].nearest
    assert str(found[2]).startswith(f"{script}:11: torch.nn.functional.relux (nearest: torch.nn.functional.relu, ")


def test_a_name_that_is_bound_to_other_things_too_is_let_alone(tmp_path: Path) -> None:
    script = write(
        tmp_path,
        program="""
        F = None
        from torch.utils import data
        from torch.nn import functional as F
        from torch import nn
        for data in (): data.nothing, F.nothing
        try:
            import torch.amp as amp
        except ImportError:
            amp = None
        amp.autocast
        class Net(nn.Module):
            nn.nothing
        """,
    )
    assert [one.name for one in missing(script)] == ["torch.amp", "torch.nn.nothing"]


def test_the_command_runs_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, program="import sys, torch\nprint(torch.ones(2).sum().item(), sys.argv[1:])\n")
    assert main([str(script), "--check", "--epochs", "2"]) == 0  # what stands behind the program is its own
    assert capsys.readouterr().out == "2.0 ['--check', '--epochs', '2']\n"
    result = subprocess.run(
        [sys.executable, "-m", "minigrad.porting", "program.py", "x"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(minigrad.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "2.0 ['x']\n"


def test_a_module_that_is_not_loaded_yet_is_not_missing(tmp_path: Path) -> None:
    write(tmp_path, program="import torch.serialization as s\nfrom torch.serialization import load\ns.save, s.dump\n")
    result = subprocess.run(
        [sys.executable, "-m", "minigrad.porting", "--check", "program.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(minigrad.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout.splitlines()[0] == "program.py:3: torch.serialization.dump"


def test_the_command_shows_the_lines_that_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, program="import os\nimport torch\nimport helpers\n", helpers="from torch import nn\n")
    assert main(["--diff", str(script)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"--- {script}",
        f"+++ {script}",
        "@@ -2 +2 @@",
        "-import torch",
        "+import minigrad as torch",
        f"--- {tmp_path / 'helpers.py'}",
        f"+++ {tmp_path / 'helpers.py'}",
        "@@ -1 +1 @@",
        "-from torch import nn",
        "+from minigrad import nn",
    ]


def test_the_command_lists_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, program="import torch\ntorch.zeros(1), torch.zeroz(1)\n")
    assert main(["--check", str(script)]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{script}:2: torch.zeroz (nearest: torch.zeros")
    assert last == "3 names of torch and torchvision in one file; 1 not in minigrad."
    assert main(["--check", str(write(tmp_path, fine="import torch\n", other=""))]) == 0
    assert capsys.readouterr().out == "1 names of torch and torchvision in one file; none not in minigrad.\n"


def test_the_commands_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = write(tmp_path, program="import torch\ndef f():\n    torch.compile(f)\nf()\n")
    assert main([str(script)]) == 1
    error = capsys.readouterr().err
    assert "minigrad has no 'compile'" in error
    assert 'program.py", line 3, in f' in error
    assert "rewrite.py" not in error
    assert error.endswith(f"python -m minigrad.porting --check {script} lists all such names.\n")
    assert main([str(write(tmp_path, other="1 / 0\n"))]) == 1
    assert "lists all such names" not in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main([str(write(tmp_path, ends="import sys\nsys.exit(7)\n"))])
    assert caught.value.code == 7
    for place, message in ((tmp_path, "is a folder"), (tmp_path / "nowhere.py", "is not there")):
        with pytest.raises(SystemExit) as caught:
            main([str(place)])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err
