"""Lab 5's networks compared: a table, curves, and which of the student report's conclusions hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from kit import findings, image_data
from kit.findings import Finding, agreement, chance, combined
from kit.image_training import figure

from minigrad import plot
from minigrad.runs import Link, Run, RunRecord

from .report import REFERENCE

TEST_IMAGES = 10_000


class Network:
    """The runs of one network, one for each seed, and the means of their figures."""

    def __init__(self, name: str, records: Sequence[RunRecord]) -> None:
        self.name = name
        self.records = records

    @property
    def title(self) -> str:
        return str(self.records[0].config["network"])

    def values(self, what: str) -> list[float]:
        return [value for record in self.records if (value := figure(record, what)) is not None]

    def mean(self, what: str) -> float | None:
        values = self.values(what)
        return fmean(values) if values else None

    @property
    def accuracy(self) -> float:
        """The best test accuracy of all epochs, mean over the seeds; −1 without an epoch."""
        mean = self.mean("best_test_accuracy")
        return -1.0 if mean is None else mean

    @property
    def overfitted(self) -> list[str]:
        """The verdict on each seed's curves: yes, begins, no."""
        return [str(record.results.get("overfitting")) for record in self.records]


def of_runs(parent: Run, members: Sequence[tuple[str, RunRecord]], complete: bool) -> None:
    """The page of several runs: one table for each data set, curves side by side, what the report concludes.

    Args: members: which experiment each run is of; several of one differ in their seeds. complete: whether they learned
    all images of the real data.
    """
    networks = {
        name: Network(name, [record for of, record in members if of == name and record.history])
        for name in dict.fromkeys(name for name, _ in members)
    }
    networks = {name: network for name, network in networks.items() if network.records}
    for _, record in members:
        parent.results[record.name] = record.results
    if not networks:
        parent.notice("No run finished an epoch, so there is nothing to compare.")
        return
    if complete:
        parent.reference.update({name: REFERENCE[name]._asdict() for name in networks})
        pairs = {f"{name}: best test accuracy": (REFERENCE[name].test, n.accuracy) for name, n in networks.items()}
        parent.compare(pairs, "these runs", _of_seeds(networks))
    for dataset, title in image_data.TITLES.items():
        own = {name: network for name, network in networks.items() if name.startswith(f"{dataset}-")}
        if own:
            _table(parent, own, title, complete)
            _pictures(parent, own, dataset, title)
    noise = f"Not clear: the runs differ by less than two standard errors of an accuracy on {TEST_IMAGES:,} images."
    findings.write(parent, conclusions(networks), complete, noise)


def _of_seeds(networks: Mapping[str, Network]) -> str:
    count = max(len(network.records) for network in networks.values())
    text = "The best of all epochs, as in the report."
    if count == 1:
        return text
    spread = ", ".join(
        f"{name} {' '.join(f'{v:.4f}' for v in network.values('best_test_accuracy'))}"
        for name, network in networks.items()
    )
    return f"{text} Ours are means over the seeds: {spread}."


def _table(parent: Run, networks: Mapping[str, Network], title: str, complete: bool) -> None:
    accuracies, costs = [], []
    for name, network in networks.items():
        theirs = REFERENCE[name] if complete else None
        page = Link(network.title, f"{network.records[0].folder.name}/report.html")
        means = {
            what: network.mean(what)
            for what in (
                *("best_test_accuracy", "test_accuracy", "exact_statistics_test_accuracy", "train_accuracy"),
                *("train_seconds", "inference_seconds", "mean_grad_norm"),
            )
        }
        best, last, exact, train, seconds, inference, gradient = means.values()
        overfitted = ", ".join(dict.fromkeys(network.overfitted))
        accuracies.append((page, theirs and theirs.test, best, last, exact, theirs and theirs.train, train, overfitted))
        parameters = network.records[0].results.get("parameters")
        costs.append(
            (
                page,
                f"{parameters:,}",
                theirs and theirs.train_seconds,
                seconds,
                theirs and theirs.inference_seconds,
                inference,
                gradient,
            )
        )
    columns = ["network", "test, report", "best test", "last test", "exact statistics", "train, report", "train"]
    note = (
        "Best: of all epochs, as in the report. Exact statistics: the last weights, batch norm's mean and variance "
        "gathered anew from the training images. Overfitted: a verdict from the curves, see each network's page."
    )
    parent.table(f"{title}: accuracy", [*columns, "overfitted"], accuracies, note)
    columns = ["network", "parameters", "train s, report", "train s", "test s, report", "test s", "mean gradient"]
    note = (
        "Training goes without the test images after each epoch; test: all test images once. Mean gradient: L2 norm of "
        "the whole gradient, mean over all epochs. The report's seconds are of another machine."
    )
    parent.table(f"{title}: what it costs", columns, costs, note)


def _pictures(parent: Run, networks: Mapping[str, Network], dataset: str, title: str) -> None:
    for key, what in (("val_accuracy", "test accuracy"), ("accuracy", "training accuracy"), ("loss", "training loss")):
        lines = {network.title: network.records[0].column(key) for network in networks.values()}
        ends = ", ".join(f"{name} {values[-1]:.4f}" for name, (_, values) in lines.items())
        parent.picture(
            plot.curves(lines, "epoch", what), f"{dataset}_{key}", f"{title}: {what} by epoch; at the end {ends}."
        )
    costs = {network.title: seconds for network in networks.values() if (seconds := network.mean("train_seconds"))}
    if costs:
        caption = f"{title}: seconds of training, while the numbers of parameters are " + ", ".join(
            f"{network.title} {network.records[0].results['parameters']:,}" for network in networks.values()
        )
        parent.picture(plot.bars(costs, "seconds", form="{:.1f}"), f"{dataset}_seconds", f"{caption}.")


# ---------------------------------------------------------------------------------------------------- the conclusions


def conclusions(networks: Mapping[str, Network]) -> list[Finding]:
    """Each of the report's conclusions for which the networks are there."""
    rules = (
        (_learned, ("mnist-fc", "mnist-cnn", "mnist-rescnn")),
        (_order, ("mnist-rescnn", "mnist-cnn", "mnist-fc")),
        (_costs, ("mnist-fc", "mnist-cnn", "mnist-rescnn")),
        (_residual, ("cifar10-fc", "cifar10-rescnn", "cifar10-regrescnn")),
        (_heart, ("cifar10-fc", "cifar10-rescnn", "cifar10-regrescnn")),
        (_gradients, ("cifar10-fc", "cifar10-rescnn", "cifar10-regrescnn")),
    )
    return [rule(*(networks[n] for n in names)) for rule, names in rules if set(names) <= networks.keys()]


def _list(networks: Sequence[Network], what: str, form: str = ".4f") -> str:
    return ", ".join(f"{n.title} {mean:{form}}" for n in networks if (mean := n.mean(what)) is not None)


def _above(better: Network, worse: Network) -> str:
    return agreement(better.accuracy, worse.accuracy, chance(worse.accuracy, TEST_IMAGES))


def _learned(*networks: Network) -> Finding:
    least = min(network.mean("train_accuracy") or 0.0 for network in networks)
    found = f"Training accuracy in the last epoch: {_list(networks, 'train_accuracy')}."
    conclusion = "On MNIST all three come to more than 0.99 on the training images."
    return Finding(conclusion, found, "yes" if least > 0.99 else "no")


def _order(*networks: Network) -> Finding:
    found = f"Best test accuracy: {_list(networks, 'best_test_accuracy')}."
    answers = [_above(better, worse) for better, worse in pairwise(networks)]
    return Finding("On MNIST ResCNN is ahead of CNN, and CNN of FC.", found, combined(answers))


def _costs(*networks: Network) -> Finding:
    found = f"Training {_list(networks, 'train_seconds', '.1f')} s; inference "
    found += f"{_list(networks, 'inference_seconds', '.2f')} s."
    answers = [
        "yes" if (a.mean(what) or 0.0) < (b.mean(what) or 0.0) else "no"
        for what in ("train_seconds", "inference_seconds")
        for a, b in pairwise(networks)
    ]
    conclusion = "The more parameters, the faster: FC trains and predicts in the least time, ResCNN takes the most."
    return Finding(conclusion, found, combined(answers))


def _residual(fc: Network, *residual: Network) -> Finding:
    found = f"Best test accuracy {_list([fc, *residual], 'best_test_accuracy')}; training "
    found += f"{_list([fc, *residual], 'train_seconds', '.0f')} s."
    answers = [_above(network, fc) for network in residual]
    answers += ["yes" if (n.mean("train_seconds") or 0) > (fc.mean("train_seconds") or 0) else "no" for n in residual]
    conclusion = "On CIFAR-10 the residual networks are far better than FC, and take far longer."
    return Finding(conclusion, found, combined(answers))


def _heart(fc: Network, plain: Network, regularised: Network) -> Finding:
    kinds = {n.title: n.overfitted for n in (fc, plain, regularised)}
    found = ", ".join(f"{name}: {' '.join(dict.fromkeys(of))}" for name, of in kinds.items())
    expected = {fc.title: ("yes",), plain.title: ("begins", "yes"), regularised.title: ("no",)}
    answers = ["yes" if all(kind in expected[name] for kind in of) else "no" for name, of in kinds.items()]
    conclusion = "On CIFAR-10 FC overfits, ResCNN perhaps, and ResCNN with dropout does not."
    return Finding(conclusion, f"Overfitted, by the curves: {found}.", combined(answers))


def _gradients(fc: Network, plain: Network, regularised: Network) -> Finding:
    def larger(a: Network, b: Network) -> str:
        pairs = list(zip(a.values("mean_grad_norm"), b.values("mean_grad_norm"), strict=False))
        above = sum(x > y for x, y in pairs)
        return "yes" if above == len(pairs) else "no" if above == 0 else "not clear"

    found = f"Mean norm of the gradient: {_list([fc, plain, regularised], 'mean_grad_norm')}."
    conclusion = (
        "The mean gradient of ResCNN is a little smaller than FC's, and with dropout it is larger than without."
    )
    return Finding(conclusion, found, combined([larger(fc, plain), larger(regularised, plain)]))
