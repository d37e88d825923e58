"""The numbers as a Markdown table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import machine
from .cases import BESIDE, CASES, GROUPS, SUMMED
from .libraries import COMPILED, EAGER, MINIGRAD, TITLES
from .measure import Results, Timing, disagreement
from .shares import Shares
from .shares import table as table_of_shares

DETAILS = "docs/benchmarks.md"
START, END = "<!-- benchmarks:start -->", "<!-- benchmarks:end -->"
BUSY_START, BUSY_END = "<!-- busy:start -->", "<!-- busy:end -->"


def duration(seconds: float | None) -> str:
    """Three significant digits in µs, ms or s."""
    if seconds is None:
        return "–"
    value, unit = next((seconds * n, u) for n, u in ((1e6, "µs"), (1e3, "ms"), (1, "s")) if seconds * n < 1e3 or n == 1)
    return f"{value:.{max(0, 2 - len(str(int(value))) + 1)}f} {unit}"


def shown_libraries(results: Results) -> list[str]:
    """The libraries that have a column, in the order of the table."""
    present = {library for row in results.cases.values() for library in row}
    return [name for name in TITLES if name in present]


def _cell(row: dict[str, Timing], library: str) -> str:
    if library not in row:
        return ""
    return "failed" if row[library].error else duration(row[library].median)


def table(results: Results, groups: Sequence[str] = tuple(GROUPS)) -> str:
    """A Markdown table for each group of cases, with the ratios and their geometric mean, or the sum of the times."""
    libraries = shown_libraries(results)
    compares = MINIGRAD in libraries and (EAGER in libraries or COMPILED in libraries)
    header = [*(TITLES[name] for name in libraries), *(["ratio"] if compares else [])]
    parts = []
    for group in groups:
        title = GROUPS[group]
        names = [name for name in results.cases if CASES[name].group == group]
        if not names:
            continue
        lines = [f"| {title} | " + " | ".join(header) + " |", "|---" + "|---:" * len(header) + "|"]
        for name in names:
            row = results.cases[name]
            cells = [_cell(row, library) for library in libraries]
            if compares:
                ratio = results.ratio(name)
                cells.append("" if ratio is None else f"**{ratio:.2f}×**")
            lines.append(f"| {CASES[name].title} | " + " | ".join(cells) + " |")
        mean = results.geometric_mean(group)
        if group in SUMMED:
            sums = {library: results.sum(group, library) for library in libraries}
            cells = [duration(sums[library]) for library in libraries]
            if compares:
                cells.append(f"**{r:.2f}×**" if (r := _ratio_of_sums(results, group)) else "")
            lines.append("| Sum | " + " | ".join(cells) + " |")
        if mean is not None and len(names) > 1:
            lines.append("| Geometric mean |" + " |" * len(libraries) + f" **{mean:.2f}×** |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _ratio_of_sums(results: Results, group: str) -> float | None:
    """How many times faster than the faster PyTorch minigrad is over a whole group."""
    ours = results.sum(group, MINIGRAD)
    theirs = [t for name in (EAGER, COMPILED) if (t := results.sum(group, name))]
    return min(theirs) / ours if ours and theirs else None


def sums(results: Results) -> list[str]:
    """A sentence for each group whose table is not in the README."""
    lines = []
    for group in BESIDE:
        ratio, ours = _ratio_of_sums(results, group), results.sum(group, MINIGRAD)
        if ratio and ours:
            count = sum(CASES[name].group == group for name in results.cases)
            lines.append(
                f"{GROUPS[group].partition(':')[0]}: {count} cases in all take {duration(ours)}, PyTorch "
                f"{duration(ours * ratio)}: **{ratio:.2f}×** ([table]({DETAILS}))."
            )
    return lines


def notes(results: Results) -> list[str]:
    """How the table came about, and everything that went wrong."""
    s = results.settings
    theirs = "the faster of PyTorch eager and compiled (`torch.compile` of forward pass and loss)"
    if COMPILED not in results.libraries:
        theirs = "PyTorch eager"
    lines = [
        f"Medians over {s['rounds']} rounds of samples of about {s['seconds']:g} s; each library in its own "
        f"process, in turn. Ratio: {theirs}, divided by minigrad."
        if EAGER in results.libraries or COMPILED in results.libraries
        else "PyTorch is not installed or was not asked for: these are minigrad's numbers alone.",
        machine.sentence(results.machine) + ".",
    ]
    if s.get("busy"):
        lines.append("Another process kept one core busy all the time.")
    elif results.machine.get("load", 0) > machine.BUSY:
        lines.append(f"Other programs were running (load average {results.machine['load']}): measure again alone.")
    for name, row in results.cases.items():
        lines += [f"{name}, {TITLES[lib]}: {t.error}" for lib, t in row.items() if t.error]
        different = disagreement(row)
        if different:
            lines.append(f"{name}: {different}")
    return lines


def memory_lines(results: Results) -> list[str]:
    """One sentence a library on the growth of its process, and on the most that a large step holds."""
    lines = []
    if results.peak:
        p = results.peak
        lines += [f"Memory: the most that a step of {p['case']} holds, above what the process held before:"]
        lines += [f"- {TITLES[library]}: {_mebibytes(bytes_, '.0f')}" for library, bytes_ in p["peak"].items()]
    if not results.memory:
        return lines
    m = results.memory
    lines += [
        f"Memory: growth of the process over {m['steps']:,} steps of {m['case']}, "
        f"counted after the first {m['settled']:,}:"
    ]
    for library, grown in m["growth"].items():
        lines.append(f"- {TITLES[library]}: {_mebibytes(grown, '+.2f')}")
    return lines


def _mebibytes(value: Any, form: str) -> str:
    return f"{value / 2**20:{form}} MiB" if isinstance(value, int) else f"failed: {value}"


def shares(results: Results) -> str:
    """Where the time of large steps goes, a table for each."""
    parts = []
    for name, raw in results.shares.items():
        parts.append(f"### {CASES[name].title}\n\n{table_of_shares(Shares(**raw), results.rate)}")
    return "\n\n".join(parts)


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [table(results)] if results.cases else []
    if results.cases:
        parts.append("\n".join(f"- {line}" for line in notes(results)))
    if memory_lines(results):
        parts.append("\n".join(memory_lines(results)))
    if results.shares:
        parts.append("## Where the time of a step goes\n\n" + shares(results))
    return "# Benchmarks\n\n" + "\n\n".join(parts) + "\n"


def into_readme(results: Results, readme: Path, picture: str) -> None:
    """Replace what stands between the markers in the README. Raises ValueError if they are not there."""
    lines = [
        table(results, [group for group in GROUPS if group not in BESIDE]),
        f"![minigrad's speed relative to PyTorch]({picture})",
        *sums(results),
        *notes(results),
        *memory_lines(results),
    ]
    body = lines[0]
    for last, line in pairwise(lines):
        body += ("\n" if line.startswith("- ") and last.startswith("- ") else "\n\n") + line
    _replace(readme, START, END, body)


def busy_into_readme(results: Results, readme: Path) -> None:
    """The same of a busy machine, and what it adds up to."""
    groups = [group for group in GROUPS if any(CASES[name].group == group for name in results.cases)]
    _replace(readme, BUSY_START, BUSY_END, "\n\n".join([table(results, groups), *notes(results), busy(results)]))


def busy(results: Results) -> str:
    """In a sentence, what threads cost where a core is taken, and the ratio to PyTorch."""
    waiting = [w for name in results.cases if (w := results.waiting(name))]
    mean = results.geometric_mean(*GROUPS)
    parts = [f"with all threads minigrad takes at most {max(waiting):.2f} times as long as with one"] if waiting else []
    parts += [f"it is {mean:.1f} times as fast as PyTorch in the geometric mean"] if mean else []
    return f"On the busy machine {', and '.join(parts)}." if parts else ""


def _replace(readme: Path, start: str, end: str, body: str) -> None:
    text = readme.read_text(encoding="utf-8")
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{readme}: the markers {start} and {end} are missing")
    readme.write_text(f"{before}{start}\n{body}\n{end}{after}", encoding="utf-8")


def chart(results: Results, path: Path) -> bool:
    """A bar for each case: how many times faster than PyTorch. False if there is nothing to compare."""
    ratios = {name: r for name in results.cases if CASES[name].group not in BESIDE and (r := results.ratio(name))}
    if not ratios:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(ratios)
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.32 * len(names)), layout="constrained")
    colors = {
        "training": "#1b6ca8",
        "programs": "#8a8f3c",
        "loops": "#7a5fd0",
        "overhead": "#d58a3a",
        "ops": "#7fb3d5",
        "layers": "#5aa17f",
    }
    for group in colors:
        rows = [i for i, name in enumerate(names) if CASES[name].group == group]
        if rows:
            label = GROUPS[group].partition(":")[0]
            axes.barh(rows, [ratios[names[i]] for i in rows], color=colors[group], label=label)
    white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    for i, name in enumerate(names):
        axes.text(ratios[name], i, f" {ratios[name]:.2f}×", va="center", fontsize=9, bbox=white)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlim(0, max(1.3, 1.15 * max(ratios.values())))
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("how many times faster than the faster of PyTorch eager and compiled (1 = as fast)")
    m = results.machine
    axes.set_title(
        f"minigrad beside PyTorch {m['packages'].get('torch', '')}: {m['cpu']}, {m['threads']} threads",
        fontsize=10,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return True


def summary(results: Results) -> str:
    """The geometric mean over the training steps, as a sentence."""
    mean = results.geometric_mean("training")
    count = sum(CASES[name].group == "training" for name in results.cases)
    if mean is None:
        return ""
    steps = "training step" if count == 1 else "training steps"
    return f"Geometric mean over {count} {steps}: minigrad is {mean:.2f} times as fast as PyTorch."
