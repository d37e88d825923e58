"""L-BFGS against PyTorch, move by move."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.optim import LBFGS

torch = pytest.importorskip("torch")

SETTINGS: list[dict[str, Any]] = [
    {"max_iter": 7},
    {"lr": 0.1, "history_size": 3, "max_iter": 5},
    {"line_search_fn": "strong_wolfe", "max_iter": 6},
    {"lr": 0.5, "line_search_fn": "strong_wolfe", "max_eval": 8, "history_size": 2},
    {"line_search_fn": "strong_wolfe", "max_eval": 1},
    {"max_iter": 1},
    {"tolerance_grad": 0.1},
    {"tolerance_change": 0.01},
]


class Problem:
    """A small network, or Rosenbrock's valley, in one library; one parameter has no gradient."""

    def __init__(self, library: Any, kind: str, dtype: str = "float64", **settings: Any) -> None:
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal(shape).astype(dtype) for shape in [(30, 4), (30, 2), (4, 5), (5,), (5, 2), (3,)]]
        self.x, self.y = map(library.tensor, arrays[:2])
        self.parameters = [library.nn.Parameter(library.tensor(a)) for a in arrays[2:]]
        self.optimizer = library.optim.LBFGS(self.parameters, **settings)
        self.kind = kind
        self.calls = 0

    def closure(self) -> Any:
        self.calls += 1
        self.optimizer.zero_grad()
        a, b, c, _ = self.parameters
        if self.kind == "network":
            loss = (((self.x @ a + b).tanh() @ c - self.y) ** 2).mean()
        else:
            loss = (100 * (a[1:] - a[:-1] ** 2) ** 2 + (1 - a[:-1]) ** 2).sum() + (b**4).sum()
        loss.backward()
        return loss

    def run(self, steps: int) -> list[float]:
        return [self.optimizer.step(self.closure).item() for _ in range(steps)]

    def numbers(self) -> Any:
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])

    def counts(self) -> tuple[Any, ...]:
        state = self.optimizer.state[self.parameters[0]]
        return self.calls, state["n_iter"], state["func_evals"]


@pytest.mark.parametrize("kind", ["network", "valley"])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(s))
def test_same_moves_as_pytorch(kind: str, settings: dict[str, Any]) -> None:
    ours, theirs = (Problem(library, kind, **settings) for library in (minigrad, torch))
    np.testing.assert_allclose(ours.run(4), theirs.run(4), rtol=1e-7)
    assert ours.counts() == theirs.counts()
    np.testing.assert_allclose(ours.numbers(), theirs.numbers(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_it_minimizes_in_every_dtype(dtype: str) -> None:
    problem = Problem(minigrad, "network", dtype, line_search_fn="strong_wolfe")
    losses = problem.run(4)
    assert losses[-1] < 0.5 * losses[0]
    assert problem.numbers().dtype == dtype


@pytest.mark.parametrize("source", [minigrad, torch], ids=["from minigrad", "from PyTorch"])
def test_a_state_dict_goes_on_where_it_stopped(source: Any) -> None:
    settings = {"lr": 0.3, "max_iter": 4, "history_size": 5}
    whole = Problem(torch, "network", **settings)
    whole.run(5)
    first, second = Problem(source, "network", **settings), Problem(minigrad, "network", **settings)
    first.run(3)
    for p, q in zip(second.parameters, first.parameters, strict=True):
        p.data = minigrad.tensor(q.detach().numpy().copy())
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.run(2)
    np.testing.assert_allclose(second.numbers(), whole.numbers(), rtol=1e-7)
    wrong = Problem(minigrad, "network").optimizer.state_dict()
    wrong["state"] = {0: {"d": minigrad.ones(3)}}
    with pytest.raises(ValueError, match=r"d has shape \(3,\), the parameters hold 38 numbers"):
        second.optimizer.load_state_dict(wrong)


def test_its_state_can_be_saved(tmp_path: Any) -> None:
    problem = Problem(minigrad, "valley", max_iter=3)
    problem.run(2)
    minigrad.save(problem.optimizer.state_dict(), tmp_path / "state")
    again = Problem(minigrad, "valley", max_iter=3)
    again.optimizer.load_state_dict(minigrad.load(tmp_path / "state"))
    for p, q in zip(again.parameters, problem.parameters, strict=True):
        p.data = q.data.clone()
    assert again.run(2) == problem.run(2)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_failing_closure_undoes_the_step(error: type[BaseException], call: int) -> None:
    problem = Problem(minigrad, "network", line_search_fn="strong_wolfe")
    problem.run(1)
    before, state = problem.numbers(), dict(problem.optimizer.state[problem.parameters[0]])
    problem.calls = 0

    def closure() -> Any:
        if problem.calls + 1 == call:
            raise error
        return problem.closure()

    with pytest.raises(error):
        problem.optimizer.step(closure)
    np.testing.assert_array_equal(problem.numbers(), before)
    kept = problem.optimizer.state[problem.parameters[0]]
    assert set(kept) == set(state)
    assert all(kept[key] is value for key, value in state.items())
    assert problem.optimizer.step(problem.closure).item() < 1


def test_bad_use_is_explained() -> None:
    p, q = minigrad.nn.Parameter(minigrad.ones(2)), minigrad.nn.Parameter(minigrad.ones(2))
    with pytest.raises(TypeError, match="step needs a closure"):
        LBFGS([p]).step()
    with pytest.raises(ValueError, match="must be in one group"):
        LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(ValueError, match="line_search_fn must be None or 'strong_wolfe', got 'armijo'"):
        LBFGS([p], line_search_fn="armijo")
    with pytest.raises(ValueError, match="history_size must be at least 1"):
        LBFGS([p], history_size=0)
    with pytest.raises(ValueError, match="lr must not be negative"):
        LBFGS([p], lr=-1)
