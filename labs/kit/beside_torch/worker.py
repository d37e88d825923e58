"""One library in one process, which trains when it is asked to.

``python -m kit.beside_torch.worker LIBRARY DEVICE THREADS`` is how :class:`compare_torch.Process` starts it. A request
is a line of JSON on standard input, the answer a line of JSON on standard output; arrays and weights come as files.
Between two requests the process waits in a read, and its threads sleep.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from .twin import Recipe

Answer = dict[str, Any]
WARM_UP = 2  # steps before the first: kernels are compiled in them, and memory is fetched
EVALUATION_BATCH = 500
DROPOUTS = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")


class Worker:
    """A library, and the network that it trains."""

    def __init__(self, library: str, device: str, threads: str) -> None:
        self.library = importlib.import_module(library)
        self.library.set_num_threads(int(threads))
        self.device = device

    def hello(self) -> Answer:
        return {"version": self.library.__version__}

    def begin(self, folder: str, network: Answer, optimizer: Answer, loss: Answer) -> Answer:
        """Make what the recipes say, with the weights of the file in the folder."""
        self.folder = Path(folder)
        self.x, self.y, self.order, self.test_x = (
            np.load(self.folder / f"{name}.npy", mmap_mode="r") for name in ("x", "y", "order", "test_x")
        )
        self.recipes = Recipe.from_json(network), Recipe.from_json(optimizer), Recipe.from_json(loss)
        self.start()
        self.train(0, min(WARM_UP, len(self.order)))
        dropout = self.start()  # anew, so that nothing of the warm-up is left
        return {"parameters": sum(p.numel() for p in self.model.parameters()), "dropout": dropout}

    def start(self) -> bool:
        """The network and its optimizer before the first step. Returns whether there was dropout to leave out."""
        network, optimizer, loss = self.recipes
        weights = safetensors.numpy.load_file(self.folder / "weights.safetensors")
        self.model = network.make(self.library)
        self.model.load_state_dict({name: self.library.tensor(array) for name, array in weights.items()})
        self.model.to(self.device)
        self.optimizer = optimizer.make(self.library, self.model.parameters())
        self.criterion = loss.make(self.library)
        kinds = tuple(getattr(self.library.nn, name) for name in DROPOUTS)
        dropouts = [module for module in self.model.modules() if isinstance(module, kinds) and module.p]
        for module in dropouts:
            module.p = 0.0
        return bool(dropouts)

    def train(self, first: int, last: int) -> Answer:
        """Steps number `first` up to `last`: the loss of each, and its seconds, from zero_grad to the new weights."""
        losses, seconds = [], []
        self.model.train()
        for rows in self.order[first:last]:
            x, y = self.tensor(self.x[rows]), self.tensor(self.y[rows])
            self.synchronize()
            begun = time.perf_counter()
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()
            self.synchronize()
            seconds.append(time.perf_counter() - begun)
            losses.append(loss.item())
        return {"losses": losses, "seconds": seconds}

    def evaluate(self) -> Answer:
        """Write the outputs for the test set into a file of the folder."""
        self.model.eval()
        with self.library.no_grad():
            starts = range(0, len(self.test_x), EVALUATION_BATCH)
            outputs = [self.model(self.tensor(self.test_x[i : i + EVALUATION_BATCH])).cpu().numpy() for i in starts]
        np.save(self.folder / "outputs.npy", np.concatenate(outputs))
        return {}

    def tensor(self, array: np.ndarray[Any, Any]) -> Any:
        return self.library.tensor(np.array(array)).to(self.device)

    def synchronize(self) -> None:
        """Wait until a GPU has done what it was given."""
        if self.device != "cpu":
            self.library.cuda.synchronize()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints does not get between the answers
    try:
        worker = Worker(*sys.argv[1:4])
        print(json.dumps(worker.hello()), file=answers)
        verbs: dict[str, Callable[..., Answer]] = {f.__name__: f for f in (worker.begin, worker.train, worker.evaluate)}
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(verbs[request.pop("do")](**request)), file=answers)
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)


if __name__ == "__main__":
    main()
