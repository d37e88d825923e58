"""What the README says is so: its examples run, its links and commands lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRAINING = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
PORTING = (ROOT / "docs" / "porting.md").read_text(encoding="utf-8")
OPS = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
LABS = (ROOT / "docs" / "labs.md").read_text(encoding="utf-8")
CODE = r"(?ms)^```python\n(.*?)^```$"
EXAMPLES = re.findall(CODE, README)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "example"})
    printed = re.search(r"accuracy ([\d.]+)", capsys.readouterr().out)
    assert printed is None or float(printed[1]) > 0.95


def test_the_guide_to_training_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    for example in re.findall(CODE, TRAINING):
        exec(compile(example, "docs/training.md", "exec"), names)
    assert len(list((tmp_path / "checkpoints").glob("step-*.safetensors"))) == 2
    assert (tmp_path / "runs" / "mine" / "001-first" / "report.html").exists()
    assert (tmp_path / "trace.json").exists()
    last = names["history"][-1]  # type: ignore[index]
    assert last["val_accuracy"] > 0.8
    assert last["grad_norm"] > 0


def test_the_guide_to_porting_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    examples = re.findall(CODE, PORTING)
    for example in examples:
        exec(compile(example, "docs/porting.md", "exec"), names)
    assert len(examples) == 7
    assert (tmp_path / "checkpoint.pth").exists()
    assert not (tmp_path / "model.pth").exists()


def test_the_guide_to_ops_shows_what_stands_in_the_files() -> None:
    text = OPS.replace("\n\n", "\n")
    quoted = [line for block in re.findall(r"(?s)```python\n(.*?)```", text) for line in block.splitlines()]
    files = [ROOT / name for name in dict.fromkeys(re.findall(r"`((?:minigrad|tests)/[\w/]+\.py)`", OPS))]
    lines = {line for file in files for line in file.read_text(encoding="utf-8").splitlines()}
    assert [line for line in quoted if line not in lines] == []
    assert (len(files), len(quoted)) == (5, 23)


def test_every_link_leads_to_a_file() -> None:
    docs = ROOT / "docs"
    for text, place in ((README, ROOT), (TRAINING, docs), (LABS, docs), (OPS, docs)):
        links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
        assert links
        assert [link for link in links if not (place / link).exists()] == []


def test_every_file_named_in_code_marks_is_there() -> None:
    named = re.findall(r"`((?:minigrad|labs|tests|benchmarks)/[\w/.]*)`", README + PORTING)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["lab1", "tests"])
def test_the_marked_commands_are_one_line_of_bash(name: str) -> None:
    found = re.findall(rf"(?m)^<!-- command: {name} -->\n```bash\n(.*)\n```$", README)
    assert len(found) == 1
    assert subprocess.run(["bash", "-n", "-c", found[0]], check=False).returncode == 0
