"""Which of the student report's conclusions hold in lab 6's runs, beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, variance

from kit.findings import Finding, agreement, combined
from kit.image_data import TITLES
from kit.image_training import figure

from minigrad.runs import RunRecord

from .report import standard_error

GROUPS = {  # {experiment: (title, networks in the order of the report)}
    "kernels": ("Kernel size", ["kernel-3", "kernel-5", "kernel-7", "mixed"]),
    "depth": ("Depth", ["shallow-2", "medium-4", "deep-6", "resnet-like"]),
}
TWINS = {"kernel-3", "shallow-2"}  # one network under two names: their trainings differ by chance alone
TEST_IMAGES = 10_000
SAME_TIME = 0.05  # two times of one thing differ by such a share


@dataclass
class Trained:
    """The trainings of one network on one data set, one for each seed."""

    records: list[RunRecord] = field(default_factory=list)

    @property
    def best(self) -> list[float]:
        """Test accuracies, of each training the best of its epochs."""
        return [max(record.column("val_accuracy")[1]) for record in self.records]

    @property
    def accuracy(self) -> float:
        return fmean(self.best)

    @property
    def seconds(self) -> float:
        """Of the fastest epoch and its test: what other programs on the machine delayed least."""
        return min((row["epoch_seconds"] for record in self.records for row in record.performance), default=math.nan)

    @property
    def verdicts(self) -> list[str]:
        """What was found wrong with its gradients."""
        return [text for record in self.records for text in record.results.get("gradient_verdicts", ())]

    def mean(self, name: str) -> float | None:
        """The mean of a figure over the seeds."""
        values = [value for record in self.records if (value := figure(record, name)) is not None]
        return fmean(values) if values else None


Networks = Mapping[str, Trained]  # of one data set
Rule = Callable[[Networks], Finding]


def conclusions(dataset: str, networks: Networks) -> list[Finding]:
    """Each of the report's conclusions on a data set for which the networks are there, and whether these runs agree."""
    on = f"On {TITLES[dataset]}"
    kernels, depths = [order for _, order in GROUPS.values()]
    spread = seed_spread(networks)
    kinds: dict[str, list[tuple[Sequence[str], Rule]]] = {
        "mnist": [
            (kernels, _best(f"{on} a receptive field of about 9 is best (kernel-5).", "kernel-5", spread)),
            (depths[:3], _rising(f"{on} 6 convolutions are better than 4, and 4 better than 2.", spread)),
        ],
        "cifar10": [
            (kernels, _best(f"{on} a small receptive field, about 5, is best (kernel-3).", "kernel-3", spread)),
            (depths, _unacceptable(f"{on} no depth comes to an acceptable accuracy.")),
        ],
    }
    rules: list[tuple[Sequence[str], Rule]] = [
        *kinds[dataset],
        (kernels[1:3], _best(f"{on} kernel-7 sees much but has too few channels: it is worse.", "kernel-5", spread)),
        (["kernel-3", "mixed"], _best(f"{on} mixed kernels see too little: they are worse.", "kernel-3", spread)),
        (depths, _best(f"{on} the network with residual connections is the best.", "resnet-like", spread)),
        (kernels, _quicker(f"{on} kernel-5 and kernel-7 train faster than kernel-3 and mixed.")),
        (depths, _slower(f"{on} training time grows with the number of convolutions.")),
        (["resnet-like"], _gradients(f"{on} the ResNet-like network's gradients neither vanish nor explode.")),
    ]
    return [rule({name: networks[name] for name in names}) for names, rule in rules if set(names) <= networks.keys()]


# ----------------------------------------------------------------------------------------------------------- the noise


def seed_spread(networks: Networks) -> float | None:
    """By how much a network's accuracy differs with the seed: a standard deviation, pooled over the networks.

    σ² = Σ (nᵢ − 1) σᵢ² / Σ (nᵢ − 1), for nᵢ trainings of network i; None if none was trained more than once.
    """
    groups = [trained.best for name, trained in networks.items() if name not in TWINS]
    groups.append([best for name in sorted(TWINS & networks.keys()) for best in networks[name].best])
    several = [best for best in groups if len(best) > 1]
    if not several:
        return None
    return math.sqrt(sum((len(best) - 1) * variance(best) for best in several) / sum(len(best) - 1 for best in several))


def error_of_difference(a: Trained, b: Trained, spread: float | None) -> float:
    """The standard error of the difference of two accuracies: from the draw of test images, and from the seeds."""
    drawn = [standard_error(network.accuracy, TEST_IMAGES) for network in (a, b)]
    trained = [(spread or 0.0) / math.sqrt(len(network.records)) for network in (a, b)]
    return math.hypot(*drawn, *trained)


def noise_note(dataset: str, networks: Networks) -> str:
    """Where the ± of a data set comes from."""
    spread = seed_spread(networks)
    if spread is None:
        return (
            f"{TITLES[dataset]}: ± is the standard error of a difference that the draw of {TEST_IMAGES:,} test images "
            "makes; trainings with other first weights differ by more, which --seeds would show."
        )
    twins = ", kernel-3 and shallow-2 taken as the one network that they are" if networks.keys() >= TWINS else ""
    return (
        f"{TITLES[dataset]}: ± is the standard error of a difference, from the draw of {TEST_IMAGES:,} test images and "
        f"from the scatter of a network's accuracy with its seed, {spread:.4f} (standard deviation{twins})."
    )


# ----------------------------------------------------------------------------------------------------------- the rules


def _accuracies(networks: Networks) -> str:
    return ", ".join(f"{name} {trained.accuracy:.4f}" for name, trained in networks.items())


def _apart(networks: Networks, better: str, worse: str, spread: float | None) -> tuple[str, str]:
    """Whether one network is better than another beyond noise, and the figures as text."""
    a, b = networks[better], networks[worse]
    error = error_of_difference(a, b, spread)
    text = f"{better} minus {worse} {a.accuracy - b.accuracy:+.4f} ± {error:.4f}"
    return agreement(a.accuracy, b.accuracy, 2 * error), text


def _best(conclusion: str, winner: str, spread: float | None) -> Rule:
    """A rule: `winner` is better than the best of the others."""

    def rule(networks: Networks) -> Finding:
        rival = max((name for name in networks if name != winner), key=lambda name: networks[name].accuracy)
        answer, text = _apart(networks, winner, rival, spread)
        return Finding(conclusion, f"{_accuracies(networks)}; {text}.", answer)

    return rule


def _rising(conclusion: str, spread: float | None) -> Rule:
    """A rule: each network is better than the one before it."""

    def rule(networks: Networks) -> Finding:
        steps = [_apart(networks, above, below, spread) for below, above in pairwise(networks)]
        found = f"{_accuracies(networks)}; {', '.join(text for _, text in steps)}."
        return Finding(conclusion, found, combined([answer for answer, _ in steps]))

    return rule


def _unacceptable(conclusion: str) -> Rule:
    def rule(networks: Networks) -> Finding:
        found = f"{_accuracies(networks)}. Taken as acceptable: half of the images."
        return Finding(conclusion, found, "no" if max(n.accuracy for n in networks.values()) >= 0.5 else "yes")

    return rule


def _times(networks: Networks) -> str:
    parts = ", ".join(f"{name} {trained.seconds:.1f}" for name, trained in networks.items())
    return f"Seconds of the fastest epoch and its test: {parts}."


def _longer(a: Trained, b: Trained) -> str:
    """Whether `a` takes longer than `b`."""
    return agreement(a.seconds, b.seconds, SAME_TIME * b.seconds)


def _quicker(conclusion: str) -> Rule:
    def rule(networks: Networks) -> Finding:
        pairs = [(slow, fast) for slow in ("kernel-3", "mixed") for fast in ("kernel-5", "kernel-7")]
        answers = [_longer(networks[slow], networks[fast]) for slow, fast in pairs]
        return Finding(conclusion, _times(networks), combined(answers))

    return rule


def _slower(conclusion: str) -> Rule:
    def rule(networks: Networks) -> Finding:
        answers = [_longer(deeper, flatter) for flatter, deeper in pairwise(networks.values())]
        return Finding(conclusion, _times(networks), combined(answers))

    return rule


def _gradients(conclusion: str) -> Rule:
    def rule(networks: Networks) -> Finding:
        (trained,) = networks.values()
        layers: Iterable[Mapping[str, float]] = [r.results.get("gradient_rms", {}) for r in trained.records]
        sizes = [size for of in layers for size in of.values()]
        if not sizes:
            return Finding(conclusion, "Not measured.", "not clear")
        wrong = len(trained.verdicts)
        found = f"Of its layers in the last epoch {min(sizes):.1e} to {max(sizes):.1e} (rms); in all epochs "
        found += f"{wrong} times out of bounds." if wrong else "never out of bounds."
        return Finding(conclusion, found, "no" if wrong else "yes")

    return rule
