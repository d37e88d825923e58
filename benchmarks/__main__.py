"""``python -m benchmarks``: measure, print, and write the table, the raw numbers and the picture."""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import machine, report, shares
from .cases import CASES, GROUPS
from .libraries import ALONE, COMPILED, DEFAULT, EAGER, MINIGRAD, TITLES, installed
from .measure import (
    ROOT,
    Results,
    WorkerError,
    WorkerProcess,
    busy_core,
    disagreement,
    elapsed_since,
    measure_case,
    measure_memory,
    measure_peak,
    workers,
)

MEMORY = "memory"
MEMORY_CASE, SETTLED = "lab1", 1_000
PEAK_CASE, PEAK_STEPS = "simple_cnn", 3
LARGE_STEP = 2e-3  # seconds from which a training step is taken apart without being asked
PICTURE = "docs/images/benchmarks.png"
STEPS = ("training", "programs")  # what a busy machine is measured by


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser("python -m benchmarks", description="minigrad's speed beside PyTorch's.")
    p.add_argument("--only", action="append", metavar="NAME", help="a case, a group, or 'memory'; may be repeated")
    p.add_argument(
        "--library",
        action="append",
        metavar="NAME",
        help=f"one of {', '.join(TITLES)} (default: those installed)",
    )
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--rounds", type=positive, default=7, help="samples of each case in each library (default 7)")
    p.add_argument("--seconds", type=float, default=0.2, help="length of a sample (default 0.2)")
    p.add_argument(
        "--threads", type=positive, default=machine.cores(), help="threads of every library (default: cores)"
    )
    p.add_argument("--out", type=Path, default=Path("runs/benchmarks"), metavar="DIR", help="(default runs/benchmarks)")
    p.add_argument(
        "--profile",
        action="append",
        metavar="CASE",
        help="measure nothing else: the share of each op in a step of minigrad, and its distance from the ceiling",
    )
    p.add_argument(
        "--busy",
        action="store_true",
        help="measure training steps while another process keeps a core busy, and minigrad with one thread beside",
    )
    p.add_argument("--list", action="store_true", help="print the names of the cases and stop")
    p.add_argument("--quick", action="store_true", help="a short run that touches everything; its numbers mean little")
    p.add_argument("--readme", action="store_true", help=f"also write into README.md and {report.DETAILS}")
    p.add_argument("--from", dest="source", type=Path, metavar="JSON", help="measure nothing: report an earlier run")
    return p


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def known(name: str, names: Sequence[str], option: str) -> str:
    """The name, if there is such a one; else the program ends with the nearest ones."""
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names)}"
    parser().error(f"{option}: no {name!r}; {hint}")


def chosen(only: Sequence[str] | None) -> tuple[list[str], bool]:
    """The cases to run, in the table's order, and whether to measure memory."""
    if not only:
        return list(CASES), True
    for name in only:
        known(name, [*CASES, *GROUPS, MEMORY], "--only")
    return [n for n, case in CASES.items() if n in only or case.group in only], MEMORY in only


def libraries(asked: Sequence[str] | None, quick: bool, busy: bool) -> list[str]:
    """The libraries to run. Compiling takes minutes, so a quick run leaves ``torch.compile`` out."""
    if asked:
        return [known(name, list(TITLES), "--library") for name in asked]
    if busy:
        return [name for name in (MINIGRAD, ALONE, EAGER) if installed(name)]
    found = [name for name in TITLES if installed(name) and name != ALONE and not (quick and name == COMPILED)]
    if not any(name in found for name in DEFAULT if name != MINIGRAD):
        print("PyTorch is not installed (pip install 'minigrad[benchmark]'): minigrad's numbers alone.")
    return found


def measure(args: argparse.Namespace) -> Results:
    """Run everything that was asked for, with a line for each case as it is done."""
    names, memory = chosen(args.only or (STEPS if args.busy else None))
    rounds, seconds = (2, 0.01) if args.quick else (args.rounds, args.seconds)
    results = Results(
        machine.describe(args.device, args.threads),
        {"rounds": rounds, "seconds": seconds, "quick": args.quick, "busy": args.busy},
    )
    if results.machine["load"] > machine.BUSY:
        print(f"Other programs are busy here (load average {results.machine['load']}): expect noise.")
    asked = libraries(args.library, args.quick, args.busy)
    with workers(asked, args.device, args.threads) as running, busy_core(args.busy):
        if not running:
            return results
        results.libraries = {name: worker.version for name, worker in running.items()}
        for name in names:
            row = results.cases[name] = measure_case(name, running, rounds, seconds, args.quick)
            times = "  ".join(f"{lib} {t.error or report.duration(t.median)}" for lib, t in row.items())
            ratio = results.ratio(name)
            print(f"{name:16} {times}" + (f"  → {ratio:.2f}×" if ratio else ""), flush=True)
            if different := disagreement(row):
                print(f"{'':16} {different}", flush=True)
        if args.device == "cpu" and not args.busy:  # a GPU works on while the op's time is taken
            take_apart(results, running, large_steps(results), args.threads, seconds)
        if memory:
            steps = 3_000 if args.quick else 50_000
            growth = measure_memory(running, MEMORY_CASE, steps, SETTLED)
            results.memory = {"case": MEMORY_CASE, "steps": steps, "settled": SETTLED, "growth": growth}
    if memory:
        compared = [name for name in running if name in (MINIGRAD, EAGER)]
        peak = measure_peak(compared, args.device, args.threads, PEAK_CASE, PEAK_STEPS)
        results.peak = {"case": PEAK_CASE, "steps": PEAK_STEPS, "peak": peak}
    return results


def large_steps(results: Results) -> list[str]:
    """The training steps that are long enough for the reader to wonder where the time goes."""
    medians = {name: row[MINIGRAD].median for name, row in results.cases.items() if MINIGRAD in row}
    return [n for n, median in medians.items() if CASES[n].group == "training" and median and median >= LARGE_STEP]


def take_apart(
    results: Results, running: dict[str, WorkerProcess], names: Sequence[str], threads: int, seconds: float
) -> None:
    """The share of each op in minigrad's steps of these cases."""
    if not names or MINIGRAD not in running:
        return
    results.rate = shares.matrix_rate(threads)
    for name in names:
        try:
            results.shares[name] = running[MINIGRAD].ask("shares", case=name, seconds=max(seconds, 0.05))
        except WorkerError as error:
            print(f"{name:16} cannot be taken apart: {error}", file=sys.stderr)


def profile(args: argparse.Namespace) -> int:
    """``--profile``: print where the time of these steps goes."""
    names = [known(name, list(CASES), "--profile") for name in args.profile]
    results = Results(machine.describe("cpu", args.threads), {})
    with workers([MINIGRAD], "cpu", args.threads) as running:
        take_apart(results, running, names, args.threads, 0.01 if args.quick else 1.0)
    print(report.shares(results))
    return 0 if len(results.shares) == len(set(names)) else 1


def main(argv: Sequence[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.list:
        for name, case in CASES.items():
            print(f"{name:16} {case.group:10} {case.title}")
        print(f"{MEMORY:16} {'':10} growth of the process over 50,000 steps of {MEMORY_CASE}")
        return 0
    if args.profile:
        return profile(args)
    start = time.perf_counter()
    results = Results.load(args.source) if args.source else measure(args)
    if not results.cases and not results.memory:
        print("Nothing was measured.", file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    results.save(args.out / "results.json")
    (args.out / "benchmarks.md").write_text(report.markdown(results), encoding="utf-8")
    report.chart(results, args.out / "benchmarks.png")
    if args.readme and results.settings.get("busy"):
        report.busy_into_readme(results, ROOT / "README.md")
    elif args.readme:
        (ROOT / report.DETAILS).write_text(report.markdown(results), encoding="utf-8")
        (ROOT / PICTURE).parent.mkdir(parents=True, exist_ok=True)
        report.chart(results, ROOT / PICTURE)
        report.into_readme(results, ROOT / "README.md", PICTURE)
    print("\n" + report.markdown(results))
    print(report.busy(results) if results.settings.get("busy") else report.summary(results))
    print(f"{args.out}/results.json, benchmarks.md, benchmarks.png ({elapsed_since(start)})")
    rows = results.cases.values()
    failed = any(t.error for row in rows for lib, t in row.items() if lib == MINIGRAD)
    return 1 if failed or any(disagreement(row) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
