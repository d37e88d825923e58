"""Lab 7's report on custom layers: whether their gradients are right, and their times beside the library's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import minigrad
from minigrad import plot
from minigrad.runs import Progress, Run

from . import layer_trials
from .layer_trials import LARGE, MOST, SMALL, TRIALS, Times, Trial

Tensor = minigrad.Tensor
QUICK_LARGE = (8, 16, 32, 32)
ROUNDS = {SMALL: (400, 40), LARGE: (25, 3)}  # counted, and to warm up
QUICK_ROUNDS = (3, 1)
NOT_A_GRADIENT = (
    "Let s = x σ(x), M = max|s|, taken at element j, where s has the sign ε, and y = s / M. If xⱼ moves, M moves, and "
    "with it every output. So the gradient is dxₖ = s′(xₖ) (dyₖ − [j = k] ε Σ dyᵢ yᵢ) / M. The rule hands back "
    "g / max|g| with g = dy s′(x) instead. It is wrong in two ways: in length, since 1 / max|g| stands where 1 / M "
    "should be, and at element j, where the sum is left out. It is the gradient of no loss: for twice the loss a "
    "gradient is twice as large, and what this rule hands back stays as it is. A network learns with it all the same, "
    "since all signs are right, that of element j perhaps aside, but a step is as large whatever the loss. gradcheck "
    "is right to refuse it."
)


def of_layers(run: Run, quick: bool, device: str = "cpu") -> None:
    """Try all layers, and put what was found into the run's page and results. Ctrl-C ends it after a layer."""
    shapes = (SMALL, QUICK_LARGE if quick else LARGE)
    results: dict[str, dict[str, Any]] = {}
    times: dict[tuple[int, ...], dict[str, Times]] = {shape: {} for shape in shapes}
    reports = {}
    steps = Progress(TRIALS, "layers")
    for name in steps:
        trial = TRIALS[name]
        reports[name] = layer_trials.checked(trial.make(SMALL[1]))
        output, gradient = layer_trials.apart(trial, SMALL, device)
        results[name] = {
            "parameters": sum(p.numel() for p in trial.make(SMALL[1]).parameters()),
            "gradcheck": not reports[name],
            "gradgradcheck": not layer_trials.checked(trial.make(SMALL[1]), again=True),
            "output_apart": output,
            "gradient_apart": gradient,
        }
        for size, shape in zip(("", "_large"), shapes, strict=True):
            rounds = QUICK_ROUNDS if quick else ROUNDS[shape]
            times[shape][name] = of = layer_trials.timed(trial, shape, *rounds, device)
            results[name] |= {f"forward_ratio{size}": of.ratio("forward"), f"ratio{size}": of.ratio()}
    if steps.interrupted:
        run.interrupt("Stopped by Ctrl-C among the layers")
    run.results["layers"] = results
    if not quick:
        run.compare(beside_the_report(results), note="The report timed single calls without a warm-up; see below.")
    _rules(run, results)
    if "NormalizedSwish" in results:
        _no_gradient(run, reports["NormalizedSwish"])
    for shape in shapes:
        _costs(run, times[shape], shape, quick, device)
    run.text("Which layers are slow", verdict(times), fixed=False)
    run.text("Negative numbers and odd p", negative(minigrad.randn(*LARGE)), fixed=False)


def beside_the_report(results: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float | None, float | None]]:
    """{what: (reference, ours)} of the layers that the report has."""
    rows: dict[str, tuple[float | None, float | None]] = {}
    for name, trial in TRIALS.items():
        if name in results and trial.times is not None:
            custom, standard = trial.times
            rows[f"{name}: parameters"] = trial.parameters, results[name]["parameters"]
            rows[f"{name}: times the standard layer's time"] = custom / standard, results[name]["ratio"]
    return rows


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


# -------------------------------------------------------------------------------------------------------- the gradients


def _rules(run: Run, results: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        (
            name,
            of["parameters"],
            "passes" if of["gradcheck"] else "refused",
            ("passes" if of["gradgradcheck"] else "once only") if of["gradcheck"] else None,
            of["output_apart"],
            of["gradient_apart"],
        )
        for name, of in results.items()
    ]
    run.table(
        "Are the rules right?",
        ("layer", "parameters", "gradcheck", "second derivatives", "output apart", "gradient apart"),
        rows,
        "gradcheck: the rule against differences (f(x + h) − f(x − h)) / 2h in float64, for input and parameters. Once "
        "only: the rule cannot be differentiated again, and says so. Apart: the largest difference from the library's "
        f"layer of the same name in float32, for a random input {_by(SMALL)} and a random upstream gradient. "
        "CustomConv2d and NormalizedSwish have rules for float32 alone; gradcheck sees those that stand in, by nn.grad "
        "and by the book.",
    )


def _no_gradient(run: Run, report: str) -> None:
    """NormalizedSwish: what gradcheck says, the numbers side by side, and why."""
    x = minigrad.tensor([-3.0, -1.5, -0.5, 0.5, 1.0, 2.0], dtype=minigrad.float64)
    upstream = minigrad.tensor([0.5, -1.0, 2.0, 1.0, -0.5, 1.5], dtype=minigrad.float64)
    of = layer_trials.gradients(TRIALS["NormalizedSwish"].make(1), swish_to_one, x, upstream)
    run.table(
        "NormalizedSwish: what its rule hands back is no gradient",
        ("x", "upstream", "by its rule", "for twice the loss", "by differences", "by the engine"),
        list(zip(of.x, upstream.tolist(), of.rule, of.doubled, of.differences, of.exact, strict=True)),
        "By the engine: of silu(x) / silu(x).abs().max(), the same function made of ops.",
    )
    run.text("Why it is none", NOT_A_GRADIENT, fixed=False)
    run.text("What gradcheck says of NormalizedSwish", report)
    x = minigrad.linspace(-6, 3, 91, dtype=minigrad.float64)
    of = layer_trials.gradients(TRIALS["NormalizedSwish"].make(1), swish_to_one, x, minigrad.ones_like(x))
    lines = {"by its rule": (of.x, of.rule), "by differences": (of.x, of.differences)}
    caption = (
        f"NormalizedSwish at 91 places at once, upstream gradient 1 everywhere. Its rule never leaves −1 … 1. At "
        f"x = {of.x[-1]:g}, where the output has its maximum, the slope is {of.differences[-1]:.1f}: if that x "
        "grows, all other outputs shrink."
    )
    run.picture(plot.curves(lines, "x", "∂L/∂x", dashed=["by differences"]), "normalized_swish", caption)


def swish_to_one(x: Tensor) -> Any:
    """NormalizedSwish made of ops, whose gradient the engine finds."""
    swish = minigrad.nn.functional.silu(x)
    return swish / swish.abs().max()


# ------------------------------------------------------------------------------------------------------------ the times


def _costs(run: Run, times: Mapping[str, Times], shape: tuple[int, ...], quick: bool, device: str) -> None:
    unit, scale = ("µs", 1e6) if shape == SMALL else ("ms", 1e3)
    medians: list[list[Any]] = []
    spreads: list[list[str]] = []
    for name, of in times.items():
        cells: list[str | None] = [name]
        ranges = [name]
        for which in ("forward", "both"):
            for seconds in getattr(of, which):
                low, middle, high = (_number(value * scale) for value in layer_trials.quartiles(seconds))
                cells.append(middle)
                ranges.append(f"{low}\u2060–\u2060{high}")  # not to be broken into lines
            cells.append(f"{of.ratio(which):.2f}")
        if shape == SMALL and not quick:
            reported = TRIALS[name].times
            cells.append(None if reported is None else "{:g} / {:g}".format(*reported))
        medians.append(cells)
        spreads.append(ranges)
    columns = ["layer", "forward", "standard", "ratio", "and backward", "standard", "ratio"]
    columns += ["report, ms"] * (shape == SMALL and not quick)
    rounds = len(next(iter(times.values())).forward[0])
    threads = minigrad.get_num_threads()
    where = f"{device}, {threads} thread{'s' * (threads > 1)}"
    note = (
        f"{unit}, median of {rounds} calls of each, both layers in turn, after a warm-up; ratio: of "
        f"the fastest calls, which other programs disturb least; input and parameters want gradients; {where}."
    )
    if shape == SMALL:
        note += (
            " Standard: nn.Conv2d, nn.SpatialAttention (PyTorch has none; the report timed something smaller), nn.SiLU "
            "(which has no maximum to find: it does less) and nn.LPPool2d. The report's are single calls without a "
            "warm-up, in which the first call pays for all that is loaded and set up."
        )
    run.table(f"Time, input {_by(shape)}", columns, medians, note)
    heads = ("layer", "forward", "standard", "and backward", "standard")
    run.table(f"Time, input {_by(shape)}: quartiles", heads, spreads, f"{unit}; half of the calls took so long.")
    ratios = {name: of.ratio() for name, of in times.items()}
    caption = (
        f"How many times the standard layer's time a layer takes, forward and backward, input {_by(shape)}. "
        + "The layers by their fastest rules: "
        + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if TRIALS[name].times is not None)
        + "."
    )
    figure = plot.bars(ratios, "times the standard layer's time", form="{:.2f}×", log=max(ratios.values()) > 20)
    run.picture(figure, "time_small" if shape == SMALL else "time_large", caption)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def verdict(times: Mapping[tuple[int, ...], Mapping[str, Times]], trials: Mapping[str, Trial] = TRIALS) -> str:
    """Which layers take more than MOST times their twin's time for the same work, and how far the book is from that."""
    lines = []
    for shape, of in times.items():
        slow = ", ".join(f"{name} ({of[name].ratio():.2f})" for name in layer_trials.slower(of, trials))
        who = slow or "no layer"
        lines.append(f"Input {_by(shape)}: more than {MOST} times the standard layer's time for the same work: {who}.")
        for name in of:
            book = of.get(f"{name}, by the book")
            if book is not None:
                faster = of[name].ratio()
                lines.append(
                    f"{name} by the book takes {book.ratio():.2f} times that time, by its faster rule {faster:.2f}."
                )
    return " ".join(lines)


def negative(x: Tensor, p: int = 3) -> str:
    """What x instead of |x| in Lp-pool would make of an input (N, C, H, W), in windows of 2 × 2."""
    sums = minigrad.nn.functional.avg_pool2d(x**p, 2)
    share = float((sums < 0).float().mean())
    return (
        "minigrad's Lp-pool, and the one here, take |x|ᵖ. PyTorch's takes xᵖ, and for odd p the sum of a window may be "
        f"negative; its root is NaN then. With p = {p} that is so in {share:.0%} of the windows of an input "
        f"{_by(tuple(x.shape))} from a normal distribution."
    )
