"""The sweep's command line: check the cells, run or resume them, compare the results."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import signal
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from kit import cli
from kit.lab_parser import did_you_mean
from minigrad.files import write_text
from minigrad.runs import RunRecord, find_runs
from minigrad.runs.compare import write_comparison
from minigrad.runs.find import run_in
from minigrad.runs.json_file import read_json
from minigrad.runs.key_metric import key_metric as key_figure
from minigrad.runs.names import mode_of
from minigrad.terminal import readable_output, shown

from .cell import Outcome, run_cell
from .grid import assignment, choices, folder_name

LABS = Path(__file__).resolve().parents[2]
RESUMABLE = ("interrupted", "running")  # "running": it was killed


def lab_named(name: str) -> str:
    """The lab's module: by its name, its path, or its number."""
    labs = sorted(path.stem for path in LABS.glob("lab[0-9]*.py"))
    wanted = Path(name).name.removesuffix(".py")
    found = [lab for lab in labs if lab == wanted or lab.startswith(f"{wanted}_")]
    if len(found) == 1:
        return found[0]
    hint = did_you_mean(wanted, labs)
    raise argparse.ArgumentTypeError(f"there is no lab {name!r}; {hint}There are: {', '.join(labs)}")


def parser_error(lab: ModuleType, options: Sequence[str]) -> str | None:
    """What the lab's own parser has to say against these options; None if it takes them."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            lab.main([*options, "--check"])
    except SystemExit as end:
        return None if end.code == 0 else said.getvalue().partition("error: ")[2].strip() or str(end.code)
    return f"{lab.__name__} does not know --check"


def check(lab: ModuleType, cells: dict[str, dict[str, Any]]) -> None:
    """Raises ValueError for settings that the lab does not take, before anything is written or started."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "cell.json")
        for name, settings in cells.items():
            file.write_text(json.dumps(settings), encoding="utf-8")
            said = parser_error(lab, ["--config", str(file)])
            if said is not None:
                what = said.removeprefix("argument --config: ").replace(f"{file} ", "").replace(f"{file}: ", "")
                raise ValueError(f"{lab.__name__} cannot run the cell {name}: {what}")


def newest_run(cell: Path) -> RunRecord | None:
    """The run that was begun last in a cell's folder, if any; it may hold other runs."""
    found = [path for path in sorted(cell.glob("[0-9]*-*")) if (path / "config.json").exists()]
    return run_in(found[-1]) if found else None


def options_for(lab: ModuleType, cell: Path) -> list[str] | None:
    """What the lab is started with for a cell: its settings, or the run to go on with; None if it is done."""
    run = newest_run(cell)
    if run is not None and run.status == "finished":
        return None
    again = ["--resume", "" if run is None else str(run.folder)]
    if run is not None and run.status in RESUMABLE and parser_error(lab, again) is None:
        return again
    return ["--config", str(cell / "cell.json")]


def zipped_cell(place: str) -> str:
    """A zip file of what a worker needs to import `run_cell`: its path need not have labs/ on it."""
    file = Path(place, "kit.zip")
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("kit/__init__.py", "kit/sweep/__init__.py", "kit/sweep/cell.py"):
            archive.write(Path(__file__).parents[2] / name, name)
    return str(file)


@contextlib.contextmanager
def engine(jobs: int, dask: str | None) -> Iterator[Any]:
    """joblib's Parallel, which yields outcomes as they come: on this machine, or on the workers of a Dask cluster.

    A cell is a process already, so on this machine threads that wait for it are enough.
    """
    from joblib import Parallel, parallel_config

    if dask is None:
        yield Parallel(n_jobs=jobs, backend="threading", batch_size=1, return_as="generator_unordered")
        return
    distributed: Any = importlib.import_module("distributed")
    with distributed.Client(dask, timeout=10) as client, tempfile.TemporaryDirectory() as place:
        client.upload_file(zipped_cell(place))
        with parallel_config(backend="dask"):
            yield Parallel(batch_size=1, return_as="generator_unordered")


@contextlib.contextmanager
def stop_file(out: Path) -> Iterator[Path]:
    """A file that gets a byte with each Ctrl-C; cells look at it, wherever they run."""
    stop = out.resolve() / ".stop"
    stop.unlink(missing_ok=True)

    def press(number: int, frame: Any) -> None:
        with open(stop, "ab") as file:
            file.write(b"x")
        print("Stopping: the running cells end after their batch; once more, and they end at once.", flush=True)

    kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(kind, press) for kind in kinds]
    try:
        yield stop
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
        stop.unlink(missing_ok=True)


def records_in(out: Path) -> list[RunRecord]:
    """The newest runs of all cells in a folder; of a cell that left none, what is known of its end."""
    records: list[RunRecord] = []
    for file in sorted(out.glob("*/cell.json")):
        cell, run, outcome = file.parent, newest_run(file.parent), Outcome.read(file.parent)
        runs = [] if run is None else find_runs(run.folder)
        if run is None and outcome is not None:
            settings = read_json(file)
            runs = [RunRecord(cell, cell.name, "running", settings, {}, {}, outcome.seconds, [], [])]
        if outcome is not None and outcome.status != "finished":
            how = f"{outcome.status}, exit code {outcome.exit_code}:\n{outcome.output}"
            runs = [replace(r, status=outcome.status, notices=[how]) if r.status == "running" else r for r in runs]
        records += runs
    return records


def line(outcome: Outcome) -> str:
    """How a cell ended, and its figure or its last words."""
    cell = Path(outcome.folder)
    text = f"{cell.name}: {outcome.status} after {outcome.seconds:.1f} s"
    run = newest_run(cell)
    key = key_figure([run]) if run is not None else None
    if outcome.status == "failed":
        last = "\n".join(f"    {said}" for said in outcome.output.splitlines()[-5:])
        return f"{text} (exit code {outcome.exit_code}):\n{last}\n    all of it: {cell / 'output.txt'}"
    value = run.figure(key, mode_of(key) or "max") if run is not None and key is not None else None
    return text if value is None else f"{text}, {key} {shown(value)}"


def command_line(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lab", metavar="LAB", type=lab_named, help="the lab to run, such as lab8_loan_auc")
    parser.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=V,V,…",
        type=assignment,
        help="a setting of the lab (an option of its --help, with _ for -) and its values, as JSON or as text; "
        "with several, each value meets each",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=V", type=assignment, help="a setting of all cells"
    )
    parser.add_argument("--jobs", type=cli.at_least_one, metavar="N", help="cells at a time (default: one per core)")
    parser.add_argument(
        "--threads", type=cli.at_least_one, metavar="N", help="threads of a cell (default: cores / jobs; dask: 1)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="run cells on the workers of this Dask scheduler")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep (default: runs/LAB-sweep)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the data sets, for the lab")
    parser.add_argument("--key", metavar="NAME", help="the figure to compare by (default: chosen by the results)")
    parser.add_argument("--mode", choices=("min", "max"), help="whether small or large is good (default: by its name)")
    parser.add_argument("--quick", action="store_true", help="the lab's --quick; the same as --set quick=true")
    return parser


def prepared(parser: argparse.ArgumentParser, args: argparse.Namespace, lab: ModuleType, out: Path) -> list[Path]:
    """The cells' folders, with their settings in them; ends the program if something is wrong with grid or folder."""
    try:
        grid = choices(args.grid, [*args.set, *([("quick", "true")] if args.quick else [])])
        cells = {folder_name(settings): settings for settings in grid}
        check(lab, cells)
        for name, settings in cells.items():
            (out / name).mkdir(parents=True, exist_ok=True)
            write_text(out / name / "cell.json", json.dumps(settings, indent=2, ensure_ascii=False) + "\n")
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot write into {out} ({error.strerror}); name another folder with --out")
    return [out.resolve() / name for name in cells]


def run(lab: ModuleType, cells: Sequence[Path], out: Path, args: argparse.Namespace) -> dict[str, int]:
    """Run the cells that are not done; returns how many ended how."""
    from joblib import cpu_count, delayed

    plan = {cell: options for cell in cells if (options := options_for(lab, cell)) is not None}
    done = len(cells) - len(plan)
    jobs = min(args.jobs or cpu_count(), max(1, len(plan)))
    threads = args.threads or (1 if args.dask else max(1, cpu_count() // jobs))
    resumed = sum(options[0] == "--resume" for options in plan.values())
    where = f"on {args.dask}" if args.dask else f"{jobs} at a time"
    print(
        f"{args.lab}, cells: {done} finished before, {resumed} to resume, {len(plan) - resumed} to run\n"
        f"{where}, threads of each: {threads}, folder: {out}",
        flush=True,
    )
    data = [] if args.data is None else ["--data", str(args.data.resolve())]
    counts = {"finished": done}
    try:
        with stop_file(out) as stop, engine(jobs, args.dask) as parallel:
            tasks = [
                delayed(run_cell)(lab.__file__, [*options, "--out", str(cell), *data], str(cell), threads, str(stop))
                for cell, options in plan.items()
            ]
            for outcome in parallel(tasks):
                counts[outcome.status] = counts.get(outcome.status, 0) + 1
                if outcome.status != "not started":
                    done += 1
                    print(f"[{done}/{len(cells)}] {line(outcome)}", flush=True)
    except Exception as error:
        if args.dask is None:
            raise
        # Nobody answers, the scheduler goes down, a machine runs out of memory: what is done is reported all the same.
        print(
            f"error: --dask {args.dask}: {type(error).__name__}: {error}\n"
            "Cells that were running may run on; the same command goes on with the rest when they have ended.",
            file=sys.stderr,
        )
    return counts


def main(argv: list[str] | None = None, description: str | None = None) -> int:
    """Args: description: what `--help` says first."""
    readable_output()
    parser = command_line(description)
    args = parser.parse_args(argv)
    if args.dask is not None and args.jobs is not None:
        parser.error("--jobs is for this machine; with --dask the workers say how many cells they take: --nthreads")
    if args.dask is not None and importlib.util.find_spec("distributed") is None:
        parser.error("--dask needs the package distributed: pip install -e '.[dask]'")
    lab = importlib.import_module(args.lab)
    out = args.out or Path("runs", f"{args.lab}-sweep")
    cells = prepared(parser, args, lab, out)
    counts = run(lab, cells, out, args)
    print(", ".join(f"{count} {status}" for status, count in counts.items()) + f", of {len(cells)}")
    if records := records_in(out):
        title = f"Sweep of {args.lab}"
        try:
            print(write_comparison(records, out, title, args.key, args.mode))
        except ValueError as error:  # no run has the figure --key: too late to refuse it
            print(f"{str(error).removeprefix('comparison_page: ')}\nCompared by another one:", file=sys.stderr)
            print(write_comparison(records, out, title))
    if counts["finished"] == len(cells):
        return 0
    return 130 if counts.keys() & {"interrupted", "not started"} else 1


if __name__ == "__main__":
    sys.exit(main())
