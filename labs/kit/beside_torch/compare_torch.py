"""`--compare torch`: the same networks trained by minigrad and by PyTorch, from the same weights, on the same batches.

Each library has a process of its own, since two pools of threads in one process wait for each other, and they take
turns, a tenth of the steps at a time, so that a slow moment of the machine hits both. A lab that has this mode calls
`option` with its parser, `requested` with its arguments, and `compare` with its run.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import minigrad
from kit import cli
from kit.lab_parser import did_you_mean
from minigrad import nn
from minigrad.runs import Run
from minigrad.training import Accuracy
from minigrad.training.streaming import Metric

from . import report
from .report import Course
from .twin import LIBRARIES, Recipe

__all__ = ["Recipe", "Twin", "batches", "compare", "option", "requested"]

STEPS, QUICK_STEPS = 100, 6
TURNS = 10
PAUSE = 0.05  # seconds before a turn, in which the threads of the other process fall asleep
LABS = Path(__file__).parents[2]
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Twin:
    """A network and how it is trained.

    Args:
        network: of a labs/labN/network.py.
        optimizer: it gets the parameters first.
        initialise: gives the network, in minigrad, other weights than it is made with; PyTorch's gets a copy of them.
    """

    network: Recipe
    optimizer: Recipe
    initialise: Callable[[nn.Module], object] | None = None


# ---------------------------------------------------------------------------------------------------- the command line


def option(parser: argparse.ArgumentParser) -> None:
    """Add `--compare` and `--compare-steps`."""
    parser.add_argument(
        "--compare",
        metavar="LIBRARY",
        type=_library,
        help="torch: instead of the experiment, train its networks for a while in minigrad and in PyTorch, from the "
        "same weights on the same batches, and show both losses and both times; needs PyTorch (pip install torch)",
    )
    parser.add_argument(
        "--compare-steps",
        metavar="N",
        type=cli.at_least_one,
        help=f"how many steps --compare trains (default: {STEPS}, with --quick {QUICK_STEPS})",
    )


def _library(name: str) -> str:
    if name != report.THEIRS:
        hint = did_you_mean(name.lower(), [report.THEIRS], cutoff=0.5)
        raise argparse.ArgumentTypeError(f"there is no comparison with {name!r}; {hint}It is one of: {report.THEIRS}")
    if importlib.util.find_spec(name) is None:
        raise argparse.ArgumentTypeError("PyTorch is not installed; install it with: pip install torch")
    return name


def requested(parser: argparse.ArgumentParser, args: argparse.Namespace) -> bool:
    """Whether `--compare` was given. Ends the program if it was and cannot be done."""
    if args.compare is None:
        return False
    if getattr(args, "resume", None) is not None:
        parser.error("argument --resume: a comparison does not go on where it ended; start a new one")
    if getattr(args, "seeds", None):
        parser.error("argument --seeds: a comparison with PyTorch trains each network once; give one --seed")
    if args.device != "cpu":
        code = "import torch; print(torch.__version__, torch.cuda.is_available())"
        asked = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        if not asked.stdout.rstrip().endswith("True"):
            found = " ".join(["PyTorch", *asked.stdout.split()[:1]])
            parser.error(f"argument --device: {found} cannot use {args.device} here; compare on the CPU (--device cpu)")
    return True


# -------------------------------------------------------------------------------------------------------- the training


class Process:
    """The near end of :mod:`kit.beside_torch.worker`, to be closed by leaving a `with` block."""

    def __init__(self, library: str, device: str) -> None:
        threads = str(minigrad.get_num_threads())
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        path = [str(LABS), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.library = library
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kit.beside_torch.worker", library, device, threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | dict.fromkeys(names, threads) | {"PYTHONPATH": os.pathsep.join(path)},
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Let it do one thing, and wait for the answer. Ends the program with its own words if it fails."""
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the answer will tell
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": f"it ended with {self._process.wait()}"}
        if "error" in answer:
            raise SystemExit(f"error: --compare: the process of {LIBRARIES[self.library]}: {answer['error']}")
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def batches(count: int, batch_size: int, steps: int, seed: int) -> Array:
    """Which rows make up each batch: (steps, batch_size), a new permutation of all `count` when one is used up.

    What does not fill a batch at the end of a permutation is left out; a batch size above `count` is taken as `count`.
    """
    rng = np.random.default_rng(seed)
    size = min(batch_size, count)
    each = count // size  # batches in a permutation
    rounds = [rng.permutation(count)[: each * size].reshape(each, size) for _ in range(-(-steps // each))]
    return np.concatenate(rounds)[:steps]


def compare(
    run: Run,
    twins: Mapping[str, Twin],
    train: tuple[Any, ...],
    test: tuple[Any, ...],
    args: argparse.Namespace,
    *,
    batch_size: int,
    loss: Recipe | None = None,
    metrics: Mapping[str, Metric] | None = None,
    title: str = "Beside PyTorch",
) -> None:
    """Train each network in both libraries: tables, a picture of both losses each, `run.results["torch"]`.

    Dropout is left out, since each library draws masks of its own. Ctrl-C ends it between two turns, with what was
    trained until then on the page; `run.interrupted` tells.

    Args:
        twins: {name: network}; no name twice in a run, also if this is called several times.
        train, test: (inputs, targets), tensors or arrays with N as their first axis.
        args: the lab's, among them those of `option`.
        loss: of outputs and targets; the cross-entropy if None.
        metrics: {name: metric} of the outputs for the test set; the accuracy if None.
    """
    steps = args.compare_steps or (QUICK_STEPS if args.quick else STEPS)
    order = batches(len(train[0]), batch_size, steps, args.seed)
    pairs: dict[str, dict[str, Course]] = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        _save_data(folder, train, test, order)
        try:
            processes = {library: stack.enter_context(Process(library, args.device)) for library in LIBRARIES}
            versions = {library: process.answer()["version"] for library, process in processes.items()}
            for name, twin in twins.items():
                pair = _begin(folder, twin, loss or Recipe("nn.CrossEntropyLoss"), processes)
                _train(run, name, processes, pair, steps)
                for library, process in processes.items():
                    process.ask("evaluate")
                    outputs = np.load(folder / "outputs.npy")
                    pair[library].figures = _figures(outputs, test[1], metrics or {"accuracy": Accuracy()})
                pairs[name] = pair
                if run.interrupted:
                    break
        except KeyboardInterrupt:
            run.interrupt("Stopped by Ctrl-C")
    if pairs:
        report.tables(run, title, pairs, _note(order.shape, versions, args.device, pairs))
        for name, pair in pairs.items():
            report.picture(run, name, pair, order.shape[1])
        report.write_steps(run, pairs)


def _save_data(folder: Path, train: tuple[Any, ...], test: tuple[Any, ...], order: Array) -> None:
    """The rows that are trained on, where they stand in each batch, and the inputs to be judged by."""
    rows, places = np.unique(order, return_inverse=True)
    x, y = (_array(values)[rows] for values in train)
    arrays = {"x": x, "y": y, "order": places.reshape(order.shape), "test_x": _array(test[0])}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def _begin(folder: Path, twin: Twin, loss: Recipe, processes: Mapping[str, Process]) -> dict[str, Course]:
    """The network with its first weights, in both."""
    model = twin.network.make(minigrad)
    if twin.initialise is not None:
        twin.initialise(model)
    minigrad.save(model.state_dict(), folder / "weights.safetensors")
    recipes = {"network": twin.network, "optimizer": twin.optimizer, "loss": loss}
    plain = {what: recipe.to_json() for what, recipe in recipes.items()}
    return {name: Course(**process.ask("begin", folder=str(folder), **plain)) for name, process in processes.items()}


def _train(run: Run, name: str, processes: Mapping[str, Process], pair: Mapping[str, Course], steps: int) -> None:
    """Both in turn; which of them goes first changes from turn to turn."""
    ends = [*range(-(-steps // TURNS), steps, -(-steps // TURNS)), steps]
    order = list(processes)
    first = 0
    for last in run.steps(ends, f"{name}, beside PyTorch"):
        for library in order:
            time.sleep(PAUSE)
            done = processes[library].ask("train", first=first, last=last)
            pair[library].losses += done["losses"]
            pair[library].seconds += done["seconds"]
        order.reverse()
        first = last


def _figures(outputs: Array, target: Any, metrics: Mapping[str, Metric]) -> dict[str, float]:
    found = {}
    for name, metric in metrics.items():
        fresh = metric.clone()
        fresh.update(minigrad.tensor(outputs), minigrad.tensor(_array(target)))
        found[name] = fresh.compute()
    return found


def _note(shape: tuple[int, ...], versions: Mapping[str, str], device: str, pairs: Mapping[str, report.Pair]) -> str:
    both = " and ".join(f"{LIBRARIES[library]} {version}" for library, version in versions.items())
    note = (
        f"{both}, each in a process of its own, in turn; device {device}, threads: {minigrad.get_num_threads()}. Up to "
        f"{shape[0]} steps on batches of {shape[1]}. A step is zero_grad, forward, loss, backward and update; the time "
        "is that of the median step. Steps that warm up are not counted."
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > (os.cpu_count() or 1) + 0.5:
        note += (
            f" Other programs were running (load average {load:.1f} on {os.cpu_count()} cores): measure again alone."
        )
    if any(course.dropout for pair in pairs.values() for course in pair.values()):
        note += " Dropout is left out (p = 0) in both, since each library draws random masks of its own."
    return note


def _array(values: Any) -> Array:
    return values.numpy(force=True) if isinstance(values, minigrad.Tensor) else np.asarray(values)
