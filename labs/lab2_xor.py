"""Lab 2: XOR, twice: with bare tensors and autograd, then with nn and optim.

Two inputs around the corners of the unit square; the class is 1 where exactly one of them is high. No straight line
parts the classes, so a hidden layer is needed: 2 → 16 → 1 with sigmoids, log-loss, plain gradient descent on all points
at once. The lab first trains bare tensors, where every line of the step is in sight, and then says the same
with nn.Module and an optimizer, from the same weights. Both must go the same way, and the lab shows that they do.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from kit import cli, lab_run

import minigrad
from minigrad import nn, optim, plot
from minigrad.runs import Run

HIDDEN = 16  # neurons
RATE = 1e-3  # learning rate, for the gradient of the summed loss
POINTS = 1000
EXPERIMENTS = {
    "both": "bare tensors, then nn and optim, and how far apart they come",
    "bare": "bare tensors alone",
    "nn": "nn and optim alone",
}


def make_data(dataset: str, rng: np.random.Generator, seed: int) -> tuple[minigrad.Tensor, minigrad.Tensor]:
    """Points x (N, 2) and classes t (N, 1), 0 or 1."""
    if dataset == "xor":
        corners = rng.integers(0, 2, (POINTS, 2))
        x, t = corners + rng.normal(0, 0.1, corners.shape), corners[:, 0] ^ corners[:, 1]
    else:
        from sklearn import datasets

        if dataset == "circles":
            x, t = datasets.make_circles(POINTS, noise=0.08, factor=0.5, random_state=seed)
        else:
            x, t = datasets.make_moons(POINTS, noise=0.1, random_state=seed)
    return minigrad.tensor(x, dtype=minigrad.float32), minigrad.tensor(t[:, None], dtype=minigrad.float32)


def log_loss(p: Any, t: Any) -> Any:
    """−Σ [t log p + (1 − t) log(1 − p)]: what the network pays for the probability that it gave to the true class."""
    p = p.clamp(1e-7, 1 - 1e-7)  # keeps log(0) out should a sigmoid ever round to 0 or 1
    return -(t * p.log() + (1 - t) * (1 - p).log()).sum()


def accuracy(p: Any, t: Any) -> float:
    return float(((p > 0.5) == (t > 0.5)).float().mean().item())


def train_bare(run: Run, x: Any, t: Any, weights: list[Any], steps: int, every: int) -> tuple[list[Any], Any]:
    """Forward, loss, backward, update, with nothing in between."""
    w1, b1, w2, b2 = weights = [w.clone().requires_grad_() for w in weights]

    def network(x: Any) -> Any:
        hidden = (x @ w1 + b1).sigmoid()  # (N, 2) @ (2, 16) + (16,) → (N, 16)
        return (hidden @ w2 + b2).sigmoid()  # (N, 16) @ (16, 1) + (1,) → (N, 1): the probability of class 1

    losses = []
    for step in run.steps(range(1, steps + 1), "bare tensors"):
        p = network(x)
        loss = log_loss(p, t)
        loss.backward()
        with minigrad.no_grad():  # the update itself is no part of the graph
            for w in weights:
                w -= RATE * w.grad
                w.grad.zero_()  # or the next backward would add to it
        if step % every == 0:
            losses.append(loss.item())
            run.log(step, bare_loss=loss.item() / len(x), bare_accuracy=accuracy(p, t))
    run.save_weights({"w1": w1, "b1": b1, "w2": w2, "b2": b2}, "bare.safetensors")
    return losses, network


def train_nn(run: Run, x: Any, t: Any, weights: list[Any], steps: int, every: int) -> tuple[list[Any], Any]:
    """The same with layers that hold their weights, a loss, and an optimizer that does the update."""
    model = nn.Sequential(nn.Linear(2, HIDDEN), nn.Sigmoid(), nn.Linear(HIDDEN, 1), nn.Sigmoid()).to(x.device)
    w1, b1, w2, b2 = weights
    # Linear keeps its weight as (outputs, inputs) and computes x @ weight.T + bias.
    model.load_state_dict({"0.weight": w1.T, "0.bias": b1, "2.weight": w2.T, "2.bias": b2})
    criterion = nn.BCELoss(reduction="sum")
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    losses = []
    for step in run.steps(range(1, steps + 1), "nn and optim"):
        optimizer.zero_grad()
        p = model(x)
        loss = criterion(p, t)
        loss.backward()
        optimizer.step()
        if step % every == 0:
            losses.append(loss.item())
            run.log(step, nn_loss=loss.item() / len(x), nn_accuracy=accuracy(p, t))
    run.save_weights(model.state_dict(), "nn.safetensors")
    return losses, model


def main(argv: list[str] | None = None) -> int:
    parser = cli.command_line(__doc__, "lab2", EXPERIMENTS, count="steps", default_count=10_000)
    parser.add_argument(
        "--dataset", choices=("xor", "circles", "moons"), default="xor", help="what to tell apart (default: xor)"
    )
    args = parser.parse_args(argv)
    steps = min(args.steps, 200) if args.quick else args.steps
    settings = {"dataset": args.dataset, "steps": steps, "learning_rate": RATE, "hidden": HIDDEN, "points": POINTS}
    title = f"Lab 2: {args.dataset.replace('xor', 'XOR')} with autograd"
    with lab_run.start(args, f"{args.dataset}-{args.experiment}", title, settings, unit="step") as run:
        x, t = [a.to(args.device) for a in make_data(args.dataset, np.random.default_rng(args.seed), args.seed)]
        layers = [nn.Linear(2, HIDDEN), nn.Linear(HIDDEN, 1)]  # drawn as nn draws them, for both ways to start from
        weights = [w.detach().to(args.device) for layer in layers for w in layer.parameters()]
        weights = [w.T if w.ndim == 2 else w for w in weights]  # as x @ w wants them: (inputs, outputs)
        every = max(1, steps // 500)
        losses = {}
        for way, train in {"bare": train_bare, "nn": train_nn}.items():
            if args.experiment not in (way, "both") or run.interrupted:
                continue
            losses[way], network = train(run, x, t, weights, steps, every)
            with minigrad.no_grad():
                p = network(x)
                run.results |= {f"{way}_loss": log_loss(p, t).item() / len(x), f"{way}_accuracy": accuracy(p, t)}
            run.say(f"{way}: loss {run.results[f'{way}_loss']:.6f}, accuracy {run.results[f'{way}_accuracy']:.4f}")
        rows = [(way, run.results[f"{way}_loss"], run.results[f"{way}_accuracy"]) for way in losses]
        run.table("At the end", ["way", "log-loss (mean)", "accuracy"], rows)

        def probability(points: np.ndarray[Any, Any]) -> Any:
            with minigrad.no_grad():
                return network(minigrad.tensor(points, device=args.device))

        caption = (
            "What the network answers over the plane: colour is its probability of class 1, the black line one half."
        )
        run.picture(plot.decision_surface(probability, x, t), "decision_surface", caption, kind="image")
        lines = {way: run.column(f"{way}_loss") for way in losses}
        figure = plot.curves(lines, "step", "log-loss (mean)", dashed=["nn"])
        run.picture(
            figure, "loss", "The log-loss over the steps; where the two ways agree, one curve lies on the other."
        )
        if len(losses) == 2:
            pairs = list(zip(losses["bare"], losses["nn"], strict=False))  # Ctrl-C may have left the second one shorter
            apart = max((abs(a - b) / a for a, b in pairs), default=0.0)
            run.results["largest_relative_difference"] = apart
            text = f"From one start, losses differ by at most {apart:.1e} of their value ({len(pairs)} steps compared)."
            run.say(text)
            run.text("Do the two ways agree?", text, fixed=False)
    return 130 if run.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
