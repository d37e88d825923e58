"""Lab 1: a network with one hidden layer learns a function, and the derivatives are worked out by hand.

The universal approximation theorem says that one hidden layer with enough neurons comes as close as wanted to any
continuous function. Here 64 neurons with ReLU learn σ(10x) from 500 noisy points by plain gradient descent.
The gradients come in two ways: written out by hand with NumPy (--mode manual, the lesson), and from minigrad's
engine (--mode autograd). The lab shows that they agree.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from kit import cli, lab_run

import minigrad
import minigrad.nn.functional as F
from minigrad import plot
from minigrad.runs import Run

HIDDEN = 64  # neurons
RATE = 1e-4  # learning rate, for the gradient of the summed loss
NOISE = 0.05  # standard deviation of y around the true function
REPORT_LOSS = 0.0022573825  # the final loss in the report that this lab follows
NAMES = ("w1", "b1", "w2", "b2")
EXPERIMENTS = {"regression": "fit the sigmoid from noisy points (the report's task 1)"}

Arrays = list[np.ndarray[Any, Any]]
Record = Callable[[int, float, Any], None]


def make_data(rng: np.random.Generator) -> Arrays:
    """x, noisy y and true y, each (N, 1): N = 500, every x five times."""
    x = np.repeat(np.arange(0, 1, 0.01) - 0.5, 5)[:, None]
    true = 1 / (1 + np.exp(-10 * x))
    y = true + rng.normal(0, NOISE, x.shape)
    return [a.astype(np.float32) for a in (x, y, true)]


def initial_weights(rng: np.random.Generator) -> Arrays:
    """w1 (1, H), b1 (H,), w2 (H, 1), b2 (1,): small random weights, no bias."""
    shapes = [(1, HIDDEN), (HIDDEN,), (HIDDEN, 1), (1,)]
    weights = [rng.uniform(-0.05, 0.05, s) if len(s) == 2 else np.zeros(s) for s in shapes]
    return [w.astype(np.float32) for w in weights]


# ------------------------------------------------------------------------------------------------- by hand, with NumPy


def forward(x: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> tuple[Any, Any, Any]:
    h = x @ w1 + b1  # (N, 1) @ (1, H) + (H,) → (N, H)
    a = np.maximum(h, 0)  # ReLU
    y_hat = a @ w2 + b2  # (N, H) @ (H, 1) + (1,) → (N, 1)
    return h, a, y_hat


def gradients(x: Any, y: Any, w2: Any, h: Any, a: Any, y_hat: Any) -> Arrays:
    """The derivatives of L = Σ (ŷ − y)² by w1, b1, w2, b2: the chain rule, from the loss back to the input.

    Each has the shape of what it is the derivative of, and that alone tells which product it must be.
    """
    dy = 2 * (y_hat - y)  # ∂L/∂ŷ                                       (N, 1)
    dw2 = a.T @ dy  # ŷ = a·w2 + b2: each row of a meets its dy     (H, N) @ (N, 1) → (H, 1)
    db2 = dy.sum(0)  # b2 was added to every row                     (1,)
    da = dy @ w2.T  # (N, 1) @ (1, H) → (N, H)
    dh = da * (h > 0)  # ReLU passes the gradient where it passed h    (N, H)
    dw1 = x.T @ dh  # (1, N) @ (N, H) → (1, H)
    db1 = dh.sum(0)  # (H,)
    return [dw1, db1, dw2, db2]


def train_manual(run: Run, record: Record, every: int, x: Any, y: Any, weights: Arrays, steps: int) -> Arrays:
    w1, b1, w2, b2 = weights = [w.copy() for w in weights]
    for step in run.steps(range(1, steps + 1), "by hand"):
        h, a, y_hat = forward(x, w1, b1, w2, b2)
        dw1, db1, dw2, db2 = gradients(x, y, w2, h, a, y_hat)
        w1 -= RATE * dw1
        b1 -= RATE * db1
        w2 -= RATE * dw2
        b2 -= RATE * db2
        if step % every == 0:
            record(step, float(((y_hat - y) ** 2).mean()), y_hat)
    return weights


# ------------------------------------------------------------------------------------------------------ by the engine


def summed_loss(x: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any) -> tuple[Any, Any]:
    """ŷ and L. Nothing more is written: the engine remembers the ops, and walks back through them."""
    y_hat = minigrad.relu(x @ w1 + b1) @ w2 + b2
    return y_hat, F.mse_loss(y_hat, y, reduction="sum")


def train_autograd(run: Run, record: Record, every: int, x: Any, y: Any, weights: Arrays, steps: int) -> Arrays:
    device = run.config["device"]
    x, y = minigrad.tensor(x, device=device), minigrad.tensor(y, device=device)
    tensors = [minigrad.tensor(w, device=device, requires_grad=True) for w in weights]
    for step in run.steps(range(1, steps + 1), "by autograd"):
        y_hat, loss = summed_loss(x, y, *tensors)
        loss.backward()
        with minigrad.no_grad():
            for w in tensors:
                w -= RATE * w.grad
                w.grad = None  # or the next backward would add to it
        if step % every == 0:
            record(step, loss.item() / len(x), y_hat)
    return [w.numpy(force=True) for w in tensors]


# ---------------------------------------------------------------------------------------------------- do they agree?


def largest_difference(x: Any, y: Any, weights: Arrays, device: str, dtype: Any) -> tuple[float, float]:
    """The largest difference between the two gradients at these weights, and the largest gradient, for scale."""
    x, y, *weights = [a.astype(dtype) for a in (x, y, *weights)]
    by_hand = gradients(x, y, weights[2], *forward(x, *weights))
    tensors = [minigrad.tensor(w, device=device, requires_grad=True) for w in weights]
    summed_loss(minigrad.tensor(x, device=device), minigrad.tensor(y, device=device), *tensors)[1].backward()
    differences = [np.abs(g - w.grad.cpu().numpy()).max() for g, w in zip(by_hand, tensors, strict=True)]
    return float(max(differences)), float(max(np.abs(g).max() for g in by_hand))


def show_agreement(run: Run, x: Any, y: Any, moments: dict[str, Arrays]) -> None:
    rows = []
    for moment, weights in moments.items():
        for dtype in (np.float32, np.float64):
            difference, scale = largest_difference(x, y, weights, run.config["device"], dtype)
            rows.append((f"at the {moment}", dtype.__name__, difference, scale))
            run.results[f"gradient_difference_{moment}_{dtype.__name__}"] = difference
            differ = f"gradients differ by at most {difference:.2e} (the largest is {scale:.2e})"
            run.say(f"at the {moment}, {dtype.__name__}: {differ}")
    columns = ("weights", "dtype", "largest difference", "largest gradient")
    note = "A difference, if any, is rounding: it shrinks with the precision; an error in a derivative would not."
    run.table("Gradients by hand against the engine's", columns, rows, note)


def one_way(run: Run, way: str, x: Any, y: Any, true: Any, weights: Arrays, steps: int) -> Arrays:
    """Train by one of the two ways, from the weights given; returns those at the end."""
    every, pictured = max(1, steps // 500), max(1, steps // 5)
    snapshots: dict[str, Any] = {"before training": forward(x, *weights)[2]}

    def record(step: int, loss: float, y_hat: Any) -> None:
        run.log(step, **{f"{way}_loss": loss})
        if step % pictured < every:
            snapshots[f"step {step:,}"] = y_hat

    train = train_manual if way == "manual" else train_autograd
    final = train(run, record, every, x, y, weights, steps)
    run.save_weights(dict(zip(NAMES, map(minigrad.tensor, final), strict=True)), f"{way}.safetensors")
    loss = float(((forward(x, *final)[2] - y) ** 2).mean())
    run.results[f"{way}_final_loss"] = loss
    run.say(f"final loss, {way}: {loss:.10f}" + ("" if run.config["quick"] else f" (report: {REPORT_LOSS:.10f})"))
    caption = f"The fit by the {way} gradients: what the network makes of x, over the true function and the data."
    run.picture(plot.fit(x, y, true, snapshots), f"fit_{way}", caption)
    return final


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab1", EXPERIMENTS, count="steps", default_count=50_000)
    parser.add_argument(
        "--mode",
        choices=("both", "manual", "autograd"),
        default="both",
        help="where gradients come from (default: both, in turn)",
    )
    args = parser.parse_args(argv)
    steps = min(args.steps, 500) if args.quick else args.steps
    settings = {
        "mode": args.mode,
        "steps": steps,
        "learning_rate": RATE,
        "hidden": HIDDEN,
        "noise": NOISE,
        "points": 500,
    }
    with lab_run.start(args, args.mode, "Lab 1: regression with derivatives by hand", settings, unit="step") as run:
        rng = np.random.default_rng(args.seed)
        x, y, true = make_data(rng)
        weights = initial_weights(rng)
        ways = ["manual", "autograd"] if args.mode == "both" else [args.mode]
        for way in ways:
            final = one_way(run, way, x, y, true, weights, steps)
            if run.interrupted:
                ways = ways[: ways.index(way) + 1]
                break
        if not args.quick:
            floor = float(((true - y) ** 2).mean())
            note = f"The true function itself has a loss of {floor:.6f} here: the noise, {NOISE}² in expectation."
            if ways == ["manual", "autograd"]:
                note += " The two ways part by rounding alone, which adds up over the steps."
            run.compare(
                {f"final loss, {way}": (REPORT_LOSS, run.results[f"{way}_final_loss"]) for way in ways}, note=note
            )
        show_agreement(run, x, y, {"start": weights, "end": final})
        lines = {way: run.column(f"{way}_loss") for way in ways}
        figure = plot.curves(lines, "step", "mean squared error", log=True, dashed=["autograd"])
        run.picture(figure, "loss", "The mean squared error over the steps, with a logarithmic scale.")
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
