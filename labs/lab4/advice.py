"""Advice from what was measured: which of several runs is best, and what ails those that fall behind.

Nothing here knows how a run was set up to fail. Each rule looks at a symptom (layers saturated before or after the
first steps, gradients that vanish, steps too large or too small for the weights, a loss still falling, validation
parting from training) and says the numbers it goes by. A run that no rule explains is said to be unexplained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minigrad.runs import RunRecord

SATURATED = 0.5  # share of a layer's outputs in the flat ends from which the layer is called saturated
WIDE = 3.0  # times Glorot's deviation: weights this large are called too large
LARGE_INPUT = 10.0  # root mean square of the input from which it is called too large
LARGE_STEP = 0.01  # ‖Δw‖ / ‖w‖ of a step; a thousandth or so is usual
SMALL_STEP = 0.1  # of the best run's steps: these are called small
STILL_FALLING = 0.05  # share by which the last epoch lowered the validation loss
OVERFIT = 0.02  # training accuracy above validation accuracy


@dataclass(frozen=True)
class Finding:
    """What was found about a run, or all of them; `evidence` holds the numbers."""

    about: str
    text: str


def figure(record: RunRecord, name: str) -> float | None:
    """A figure of the results, also where its name says that it is of other data."""
    value = next((v for key, v in record.results.items() if key.endswith(name)), None)
    return value if isinstance(value, (int, float)) else None


def accuracy(record: RunRecord) -> float:
    value = figure(record, "test_accuracy")
    return -1.0 if value is None else float(value)


def ranked(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Best first. Runs without a figure come last."""
    return sorted(records, key=accuracy, reverse=True)


def advise(records: Sequence[RunRecord], test_images: int, chance: float = 0.1) -> list[Finding]:
    """What to do, from all runs together. Args: how many images were tested, and the accuracy of guessing."""
    order = [record for record in ranked(records) if accuracy(record) >= 0]
    if not order:
        return [Finding("all runs", "No run came to a test accuracy, so there is nothing to compare.")]
    best = order[0]
    noise = 2 * math.sqrt(max(accuracy(best) * (1 - accuracy(best)), 1e-4) / test_images)
    findings = [_best(order, noise)]
    findings += [f for f in (_correlation(records), *_pairs(order, noise)) if f is not None]
    for record in order:
        findings += diagnose(record, best, noise, chance)
    return findings


def _best(order: Sequence[RunRecord], noise: float) -> Finding:
    best = order[0]
    level = [r.name for r in order[1:] if accuracy(best) - accuracy(r) <= noise]
    text = f"{best.name} has the highest test accuracy, {accuracy(best):.4f} ({_strategy(best)})."
    if level:
        names = ", ".join(dict.fromkeys(level))
        text += (
            f" Within {noise:.4f} of it, two standard errors of such an accuracy, so that one seed cannot tell them "
            f"apart: {names}."
        )
    return Finding("all runs", text)


def _strategy(record: RunRecord) -> str:
    strategy = record.config.get("lr_strategy", "fixed")
    if strategy == "cyclical":
        return f"cyclical rate, {record.config['base_lr']:g} to {record.config['max_lr']:g}"
    return f"{strategy} rate, {record.config.get('lr', float('nan')):g}"


def _pairs(order: Sequence[RunRecord], noise: float) -> list[Finding | None]:
    """What changing one setting did: pairs of runs that differ in one thing besides the number of epochs."""
    found: list[Finding | None] = []
    seen = set()
    for i, better in enumerate(order):
        for worse in order[i + 1 :]:
            differ = [
                key
                for key in better.config
                if key not in ("epochs", "seed") and better.config[key] != worse.config.get(key)
            ]
            if len(differ) != 1 or (key := differ[0]) in seen or key in ("lr", "data", "device", "quick"):
                continue
            seen.add(key)
            gain = accuracy(better) - accuracy(worse)
            values = " against ".join(f"{record.config[key]} ({record.name})" for record in (better, worse))
            size = "no more than chance would give" if gain <= noise else "more than chance would give"
            text = f"{key.replace('_', ' ')} {values}: test accuracy {gain:+.4f}, {size}."
            found.append(Finding("all runs", text))
    return found


def _correlation(records: Sequence[RunRecord]) -> Finding | None:
    """How the weights' movement over an epoch goes with the validation accuracy at its end."""
    values = [
        c for record in records if (c := correlation(record.history, "weight_change", "val_accuracy")) is not None
    ]
    if not values:
        return None
    mean = sum(values) / len(values)
    kind = "negative" if mean < -0.3 else "positive" if mean > 0.3 else "weak"
    meaning = {
        "negative": "the weights move less as the network gets better, as they do near a minimum",
        "positive": "the network got better in the epochs in which its weights moved most",
        "weak": "how far the weights move says little about how good the network is",
    }[kind]
    return Finding(
        "all runs",
        f"Weight change and validation accuracy correlate by {mean:+.3f} over the epochs, the mean of {len(values)} "
        f"runs ({min(values):+.2f} to {max(values):+.2f}): {meaning}.",
    )


def correlation(history: Sequence[dict[str, float]], a: str, b: str) -> float | None:
    """Pearson's, over the epochs that have both; None for fewer than three, or where one does not change."""
    pairs = [(row[a], row[b]) for row in history if a in row and b in row]
    pairs = [pair for pair in pairs if all(map(math.isfinite, pair))]
    if len(pairs) < 3:
        return None
    mean_a, mean_b = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    over = sum((x - mean_a) * (y - mean_b) for x, y in pairs)
    below = math.sqrt(sum((x - mean_a) ** 2 for x, _ in pairs) * sum((y - mean_b) ** 2 for _, y in pairs))
    return over / below if below > 1e-12 else None


# ----------------------------------------------------------------------------------------------- what ails one of them


def diagnose(record: RunRecord, best: RunRecord, noise: float, chance: float = 0.1) -> list[Finding]:
    """Why a run falls behind the best one, by its symptoms; nothing where it does not."""
    found = [text for text in (_overfit(record),) if text]
    behind = accuracy(best) - accuracy(record)
    if behind > max(3 * noise, 0.005):
        stop = record.results.get("stopped") or ""
        rules: list[Callable[[RunRecord, RunRecord], str | None]] = [
            _saturated_from_the_start,
            _saturated_by_training,
            _bad_gradients,
            _large_steps,
            _small_steps,
            _unfinished,
        ]
        causes = [text for rule in rules if (text := rule(record, best))]
        if "TerminateOnNaN" in stop:
            causes.insert(0, stop)
        if not causes:
            causes = [_unexplained(record, chance)]
        found = [f"{behind:.4f} behind the best run. " + " ".join(causes), *found]
    return [Finding(record.name, text) for text in found]


def _layers(record: RunRecord) -> dict[str, dict[str, Any]]:
    layers: dict[str, dict[str, Any]] = record.results.get("layers", {})
    return layers


def _saturated_from_the_start(record: RunRecord, best: RunRecord) -> str | None:
    before = {name: of["saturated"][0] for name, of in _layers(record).items() if of.get("saturated")}
    flat = {name: share for name, share in before.items() if share >= SATURATED}
    if not flat:
        return None
    text = f"Saturated before the first step: {_shares(flat)} of the outputs, where tanh passes no gradient."
    wide = {name: gain for name, gain in record.results.get("weight_gain", {}).items() if gain > WIDE}
    if wide:
        worst = max(wide, key=lambda name: wide[name])
        text += (
            f" The initial weights are too large ({worst}: {wide[worst]:.1f} times Glorot's deviation): "
            "initialise with Glorot's."
        )
    size = record.results.get("input_rms", 0.0)
    if size > LARGE_INPUT:
        text += f" The inputs are too large (root mean square {size:.0f}): scale them to about 1."
    return text


def _saturated_by_training(record: RunRecord, best: RunRecord) -> str | None:
    grown = {
        name: of["saturated"][-1]
        for name, of in _layers(record).items()
        if of.get("saturated") and of["saturated"][0] < SATURATED <= of["saturated"][-1]
    }
    healthy = {name: of["saturated"][-1] for name, of in _layers(best).items() if of.get("saturated")}
    grown = {name: share for name, share in grown.items() if share > healthy.get(name, 0.0) + 0.2}
    if not grown:
        return None
    return f"Training itself drove layers into saturation: {_shares(grown)} of the outputs at the end."


def _bad_gradients(record: RunRecord, best: RunRecord) -> str | None:
    verdicts = record.results.get("gradient_verdicts", [])
    return (
        f"Gradients: {verdicts[0]}" + (f" (and {len(verdicts) - 1} more)." if len(verdicts) > 1 else ".")
        if verdicts
        else None
    )


def _large_steps(record: RunRecord, best: RunRecord) -> str | None:
    own, theirs = _first(record, "update_ratio"), _first(best, "update_ratio")
    if own is None or theirs is None or own < LARGE_STEP or own < 3 * theirs:
        return None
    return (
        f"A step moves the weights by {own:.2%} of their norm in the first epoch, against {theirs:.2%} in {best.name}: "
        f"the learning rate is too high, try {_rate(record) * theirs / own:.1g}."
    )


def _small_steps(record: RunRecord, best: RunRecord) -> str | None:
    own, theirs = _first(record, "update_ratio"), _first(best, "update_ratio")
    if own is None or theirs is None or own > SMALL_STEP * theirs:
        return None
    if own == 0:
        return "The weights do not move at all: every gradient is zero."
    if _saturated_from_the_start(record, best) is not None:
        return None  # it is saturation that makes the gradients small, or the weights' own size the share
    return (
        f"A step moves the weights by only {own:.4%} of their norm in the first epoch, against {theirs:.2%} in "
        f"{best.name}: the learning rate is too low for so few epochs, try {_rate(record) * theirs / own:.1g}."
    )


def _unfinished(record: RunRecord, best: RunRecord) -> str | None:
    losses = [row["val_loss"] for row in record.history if "val_loss" in row]
    if len(losses) < 2 or not losses[-1] < (1 - STILL_FALLING) * losses[-2]:
        return None
    return f"The validation loss still fell by {1 - losses[-1] / losses[-2]:.0%} in the last epoch: it was not done."


def _overfit(record: RunRecord) -> str | None:
    last = record.history[-1] if record.history else {}
    gap = last.get("accuracy", 0.0) - last.get("val_accuracy", 1.0)
    losses = [row["val_loss"] for row in record.history if "val_loss" in row]
    if gap <= OVERFIT or len(losses) < 2 or losses[-1] <= min(losses):
        return None
    return (
        f"It learned by heart: at the end training accuracy is {gap:.3f} above validation accuracy, and the validation "
        f"loss rose from {min(losses):.4f} (epoch {losses.index(min(losses)) + 1}) to {losses[-1]:.4f}. Stop there, or "
        "regularise."
    )


def _unexplained(record: RunRecord, chance: float) -> str:
    last = record.history[-1] if record.history else {}
    train = last.get("accuracy", float("nan"))
    if train < chance + 0.05:
        return (
            f"Even on the training images it is right for {train:.3f} only, about as often as guessing ({chance:g}), "
            "while layers, gradients and steps look sound: look at the labels and at the loss."
        )
    return "None of the symptoms looked for explains it."


def _first(record: RunRecord, key: str) -> float | None:
    value = next((row[key] for row in record.history if key in row), None)
    return value if value is not None and math.isfinite(value) else None


def _rate(record: RunRecord) -> float:
    return float(record.config["max_lr" if record.config.get("lr_strategy") == "cyclical" else "lr"])


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
