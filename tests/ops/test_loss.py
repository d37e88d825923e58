"""Losses against PyTorch, with every reduction and option."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, Input, OpSuite, agree, away, between, distinct, given, index, real, simplex

import minigrad
import minigrad.nn.functional as F
from minigrad import kernels
from minigrad.errors import DtypeError, ShapeError

REDUCTIONS = ("mean", "sum", "none")
T = given([[0.0, 1.0, 0.3], [0.9, 0.5, 0.0]])
IGNORED = given([0, -100, 2, 2, 1])
D = Input


def functional(name: str, **options: Any) -> Any:
    return lambda lib, *xs: getattr(lib.nn.functional, name)(*xs, **options)


def log_probabilities(*shape: int) -> Input:
    def draw(rng: np.random.Generator, s: tuple[int, ...]) -> Any:
        x = rng.standard_normal(s)
        with np.errstate(divide="ignore"):  # where there is no class
            return x - np.log(np.exp(x).sum(axis=min(1, len(s) - 1), keepdims=True))

    return Input(shape, draw)


# fmt: off
def table() -> Iterator[Case]:
    for r in REDUCTIONS:
        pair = [real(4, 3), distinct(4, 3, offset=0.03)]
        big = [real(64, 37), real(64, 37)]
        yield Case(f"mse {r}", functional("mse_loss", reduction=r), pair, large=big, rtol=2e-5)
        yield Case(f"mse, constant target {r}", functional("mse_loss", reduction=r), [real(4, 3), real(4, 3).constant()], large=[big[0], big[1].constant()], rtol=2e-5)
        yield Case(f"mse, constant input {r}", functional("mse_loss", reduction=r), [real(4, 3).constant(), real(4, 3)], large=[big[0].constant(), big[1]], rtol=2e-5)
        yield Case(f"mse, broadcast {r}", functional("mse_loss", reduction=r), [real(4, 3), real(4, 1)], rtol=2e-5)
        yield Case(f"mse of numbers {r}", functional("mse_loss", reduction=r), [real(), real()], rtol=2e-5)
        yield Case(f"mse, weight {r}", lambda lib, x, t, w, r=r: lib.nn.functional.mse_loss(x, t, weight=w, reduction=r), [*pair, between(0.5, 2, 4, 3).constant()], rtol=2e-5, empty=False)
        yield Case(f"l1 {r}", functional("l1_loss", reduction=r), [distinct(4, 3), distinct(4, 3, offset=0.05)])
        yield Case(f"l1, broadcast {r}", functional("l1_loss", reduction=r), [distinct(1, 3), distinct(4, 3, offset=0.03)])
        yield Case(f"l1, equal {r}", functional("l1_loss", reduction=r), [given([1.0, 2.0]), given([1.0, 3.0])], smooth=False)
        yield Case(f"l1, weight {r}", lambda lib, x, t, w, r=r: lib.nn.functional.l1_loss(x, t, weight=w, reduction=r), [distinct(4, 3), distinct(4, 3, offset=0.05), between(0.5, 2, 4, 3).constant()], empty=False)
        yield Case(f"huber {r}", functional("huber_loss", reduction=r), [away(4, 3, kinks=(-1.0, 1.0)), given(np.zeros((4, 3)))])
        yield Case(f"huber 0.3 {r}", functional("huber_loss", reduction=r, delta=0.3), [given(np.zeros((4, 1))), away(4, 3, kinks=(-0.3, 0.3))])
        yield Case(f"huber, weight {r}", lambda lib, x, t, w, r=r: lib.nn.functional.huber_loss(x, t, weight=w, reduction=r), [away(4, 3, kinks=(-1.0, 1.0)), given(np.zeros((4, 3))), between(0.5, 2, 4, 3).constant()], empty=False)
        yield Case(f"huber at its corner {r}", functional("huber_loss", reduction=r), [given([1.0, -1.0, 0.0]), given([0.0, 0.0, 0.0])], smooth=False)
        yield Case(f"smooth_l1 {r}", functional("smooth_l1_loss", reduction=r), [away(4, 3, kinks=(-1.0, 1.0)), given(np.zeros((4, 3)))])
        yield Case(f"smooth_l1 0.5 {r}", functional("smooth_l1_loss", reduction=r, beta=0.5), [away(4, 3, kinks=(-0.5, 0.5)), given(np.zeros((4, 3)))])
        yield Case(f"smooth_l1 0 {r}", functional("smooth_l1_loss", reduction=r, beta=0.0), [away(4, 3), given(np.zeros((4, 3)))])
        yield Case(f"bce {r}", functional("binary_cross_entropy", reduction=r), [between(0.05, 0.95, 4, 3), between(0, 1, 4, 3)], large=[between(0.05, 0.95, 64, 37), between(0, 1, 64, 37)])
        yield Case(f"bce, weight {r}", functional("binary_cross_entropy", reduction=r), [between(0.05, 0.95, 4, 3), between(0, 1, 4, 3).constant(), between(0.5, 2, 3).constant()])
        yield Case(f"bce, sure and right {r}", functional("binary_cross_entropy", reduction=r), [given([0.0, 1.0, 0.5]), given([0.0, 1.0, 0.5]).constant()], smooth=False)
        yield Case(f"bce_with_logits {r}", functional("binary_cross_entropy_with_logits", reduction=r), [real(4, 3), between(0, 1, 4, 3)], large=[real(64, 37), between(0, 1, 64, 37)])
        yield Case(f"bce_with_logits, constant target {r}", functional("binary_cross_entropy_with_logits", reduction=r), [real(4, 3), between(0, 1, 4, 3).constant()], large=[real(64, 37), between(0, 1, 64, 37).constant()])
        yield Case(f"bce_with_logits, weight {r}", functional("binary_cross_entropy_with_logits", reduction=r), [real(4, 3), between(0, 1, 4, 3), between(0.5, 2, 4, 1).constant()])
        yield Case(f"bce_with_logits, pos_weight {r}", lambda lib, x, t, w, r=r: lib.nn.functional.binary_cross_entropy_with_logits(x, t, pos_weight=w, reduction=r), [real(4, 3), between(0, 1, 4, 3), between(0.5, 3, 3).constant()], large=[real(64, 37), between(0, 1, 64, 37), between(0.5, 3, 37).constant()])
        yield Case(f"bce_with_logits, extreme {r}", functional("binary_cross_entropy_with_logits", reduction=r), [given([1e4, -1e4, 1e4, -1e4, 0.0]), given([1.0, 0.0, 0.0, 1.0, 0.5]).constant()], smooth=False, rtol=2e-5)
        for name, make in (("nll_loss", log_probabilities), ("cross_entropy", real)):
            short = name.removesuffix("_loss")
            yield Case(f"{short} {r}", functional(name, reduction=r), [make(5, 3), index(3, 5)], large=[make(64, 10), index(10, 64)], empty=False)
            yield Case(f"{short} of one row {r}", functional(name, reduction=r), [make(3), index(3)], empty=False)
            yield Case(f"{short} (N, C, d) {r}", functional(name, reduction=r), [make(2, 3, 4), index(3, 2, 4)], empty=False)
            yield Case(f"{short} (N, C, h, w) {r}", functional(name, reduction=r), [make(2, 3, 4, 5), index(3, 2, 4, 5)], empty=False, atol=1e-5)
            yield Case(f"{short}, ignored {r}", functional(name, reduction=r), [make(5, 3), IGNORED], empty=False)
            yield Case(f"{short}, ignore_index=1 {r}", functional(name, reduction=r, ignore_index=1), [make(6, 3), index(3, 6)], empty=False)
            yield Case(f"{short}, weight {r}", lambda lib, x, t, w, n=name, r=r: getattr(lib.nn.functional, n)(x, t, weight=w, reduction=r), [make(5, 3), index(3, 5), between(0.2, 2, 3).constant()], empty=False)
            yield Case(f"{short}, weight, ignored {r}", lambda lib, x, t, w, n=name, r=r: getattr(lib.nn.functional, n)(x, t, weight=w, reduction=r), [make(5, 3), IGNORED, between(0.2, 2, 3).constant()], empty=False)
            yield Case(f"{short} (N, C, d), weight, ignored {r}", lambda lib, x, t, w, n=name, r=r: getattr(lib.nn.functional, n)(x, t, w, reduction=r, ignore_index=2), [make(2, 3, 4), index(3, 2, 4), between(0.2, 2, 3).constant()], empty=False)
        smooth = {"reduction": r, "label_smoothing": 0.2}
        yield Case(f"cross_entropy, smoothed {r}", functional("cross_entropy", **smooth), [real(5, 3), index(3, 5)], empty=False)
        yield Case(f"cross_entropy, smoothed, ignored {r}", functional("cross_entropy", **smooth), [real(5, 3), IGNORED], empty=False)
        yield Case(f"cross_entropy, smoothed, weight, ignored {r}", lambda lib, x, t, w, o=smooth: lib.nn.functional.cross_entropy(x, t, weight=w, **o), [real(5, 3), IGNORED, between(0.2, 2, 3).constant()], empty=False)
        yield Case(f"cross_entropy (N, C, d), smoothed, weight {r}", lambda lib, x, t, w, o=smooth: lib.nn.functional.cross_entropy(x, t, weight=w, **o), [real(2, 3, 4), index(3, 2, 4), between(0.2, 2, 3).constant()], empty=False)
        yield Case(f"cross_entropy, wholly smoothed {r}", functional("cross_entropy", reduction=r, label_smoothing=1.0), [real(5, 3), index(3, 5)], empty=False)
        yield Case(f"cross_entropy, probabilities {r}", functional("cross_entropy", reduction=r), [real(5, 3), simplex(5, 3)], large=[real(64, 10), simplex(64, 10)], empty=False)
        yield Case(f"cross_entropy, constant probabilities {r}", functional("cross_entropy", reduction=r), [real(5, 3), simplex(5, 3).constant()], large=[real(64, 10), simplex(64, 10).constant()], empty=False)
        yield Case(f"cross_entropy, any targets {r}", functional("cross_entropy", reduction=r), [real(5, 3), real(5, 3)], large=[real(64, 10), real(64, 10).constant()], empty=False, rtol=5e-5, atol=2e-5)
        yield Case(f"cross_entropy, probabilities of one row {r}", functional("cross_entropy", reduction=r), [real(3), simplex(3)], empty=False)
        yield Case(f"cross_entropy, probabilities (N, C, d) {r}", functional("cross_entropy", reduction=r), [real(2, 3, 4), simplex(2, 3, 4)], empty=False)
        yield Case(f"cross_entropy, probabilities, smoothed {r}", functional("cross_entropy", **smooth), [real(5, 3), simplex(5, 3)], empty=False)
        yield Case(f"cross_entropy, probabilities, weight, smoothed {r}", lambda lib, x, t, w, o=smooth: lib.nn.functional.cross_entropy(x, t, weight=w, **o), [real(2, 3, 4), simplex(2, 3, 4), between(0.2, 2, 3).constant()], empty=False)
    for r in (*REDUCTIONS, "batchmean"):
        yield Case(f"kl_div {r}", functional("kl_div", reduction=r), [log_probabilities(4, 3), simplex(4, 3)], large=[log_probabilities(64, 37), simplex(64, 37)])
        yield Case(f"kl_div, log target {r}", functional("kl_div", reduction=r, log_target=True), [log_probabilities(4, 3), log_probabilities(4, 3)])
        yield Case(f"kl_div, zeros {r}", functional("kl_div", reduction=r), [log_probabilities(2, 3), given([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]).constant()])
        yield Case(f"kl_div, broadcast {r}", functional("kl_div", reduction=r), [log_probabilities(4, 3), simplex(3)])


@pytest.mark.filterwarnings("ignore:.*broadcast")
class TestLosses(OpSuite):
    cases = list(table())
# fmt: on


@examples(
    st.integers(1, 5),
    st.integers(2, 4),
    st.sampled_from(REDUCTIONS),
    st.sampled_from([0.0, 0.3]),
    st.booleans(),
    st.sampled_from([-100, 0, 1]),
    st.integers(0, 2),
    st.integers(0, 1000),
)
def test_any_cross_entropy(
    n: int, classes: int, reduction: str, smoothing: float, weighted: bool, ignore: int, extra: int, seed: int
) -> None:
    rest = (2, 3)[:extra]
    weight = between(0.1, 2, classes).constant()

    def call(lib: Any, x: Any, t: Any, w: Any) -> Any:
        return lib.nn.functional.cross_entropy(
            x, t, w if weighted else None, ignore_index=ignore, reduction=reduction, label_smoothing=smoothing
        )

    agree(call, real(n, classes, *rest), index(classes, n, *rest), weight, seed=seed)


def test_a_sure_mistake_costs_100_and_pulls_hard() -> None:
    # PyTorch keeps the denominator x (1 − x) above a float32 1e-12, whatever the dtype
    agree(
        lambda lib, x, t: lib.nn.functional.binary_cross_entropy(x, t, reduction="none"),
        given([0.0, 1.0, 1e-13]),
        given([1.0, 0.0, 1.0]).constant(),
        rtol=1e-7,
    )


def test_shapes_that_broadcast_are_named_in_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"mse_loss.*\(4, 1\).*\(4,\)"):
        F.mse_loss(minigrad.ones(4, 1), minigrad.ones(4))


def test_everything_ignored() -> None:
    for weight in (None, minigrad.tensor([1.0, 2.0])):
        x = minigrad.ones(2, 2, requires_grad=True)
        t = minigrad.tensor([-100, -100])
        assert math.isnan(F.cross_entropy(x, t, weight).item())
        loss = F.cross_entropy(x, t, weight, reduction="sum")
        loss.backward()
        assert loss.item() == 0.0
        assert not x.grad.numpy().any()


def test_ignored_rows_may_hold_anything() -> None:
    x = minigrad.tensor([[math.nan, math.inf], [1.0, 2.0]], requires_grad=True)
    F.nll_loss(x, minigrad.tensor([-100, 1])).backward(minigrad.tensor(3.0))
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, -3.0]]


def test_float32_losses_of_many_terms_keep_their_digits() -> None:
    x, t = minigrad.full((1 << 18,), 0.1), minigrad.zeros(1 << 18)
    assert F.mse_loss(x, t, reduction="sum").item() == pytest.approx(2621.44, rel=1e-6)
    assert F.binary_cross_entropy_with_logits(x, t).item() == pytest.approx(0.7443967, rel=1e-6)


def test_weights_follow_the_inputs_dtype() -> None:
    x = minigrad.randn(4, 3)
    w = minigrad.ones(3, dtype=minigrad.float64)
    t = minigrad.tensor([0, 1, 2, 0])
    assert F.cross_entropy(x, t, w).dtype == minigrad.float32
    assert F.cross_entropy(x, F.one_hot(t, 3).float(), w).dtype == minigrad.float32
    assert F.binary_cross_entropy_with_logits(x, x.sigmoid(), pos_weight=w).dtype == minigrad.float32


def test_the_old_spelling_of_reductions_is_taken_with_a_warning() -> None:
    torch = pytest.importorskip("torch")
    x, t = minigrad.randn(4, 3), minigrad.randn(4, 3)
    for size_average in (None, True, False):
        for reduce in (None, True, False):
            if size_average is None is reduce:
                continue
            with pytest.warns(UserWarning, match="mse_loss: size_average and reduce are .*; write reduction='"):
                ours = F.mse_loss(x, t, size_average, reduce)
            with pytest.warns(UserWarning, match="size_average"):
                theirs = torch.nn.functional.mse_loss(
                    torch.tensor(x.numpy()), torch.tensor(t.numpy()), size_average, reduce
                )
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_refusals() -> None:
    x, t = minigrad.randn(4, 3), minigrad.tensor([0, 1, 2, 0])
    with pytest.raises(ValueError, match="reduction must be"):
        F.mse_loss(x, x, reduction="average")
    with pytest.raises(ShapeError, match=r"mse_loss.*\(4, 3\).*\(4, 2\)"):
        F.mse_loss(x, minigrad.zeros(4, 2))
    with pytest.raises(ShapeError, match=r"squeeze\(\)"):
        F.binary_cross_entropy_with_logits(x, minigrad.zeros(1, 4, 3))
    with pytest.raises(ValueError, match="probabilities between 0 and 1"):
        F.binary_cross_entropy(x * 10, minigrad.zeros(4, 3))
    with pytest.raises(IndexError, match="class 3 is out of range for 3 classes"):
        F.cross_entropy(x, minigrad.tensor([0, 1, 2, 3]))
    with pytest.raises(IndexError, match="class -1"):
        F.nll_loss(x, minigrad.tensor([0, -1, 2, 0]))
    with pytest.raises(ShapeError, match=r"must have shape \(4,\)"):
        F.cross_entropy(x, t[:3])
    with pytest.raises(DtypeError, match="int64"):
        F.cross_entropy(x, t.float())
    with pytest.raises(ShapeError, match="one entry for each of the 3 classes"):
        F.cross_entropy(x, t, minigrad.ones(4))
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(x, t, label_smoothing=1.5)
    with pytest.raises(ValueError, match="delta must be positive"):
        F.huber_loss(x, x, delta=0.0)
    with pytest.raises(ValueError, match="beta"):
        F.smooth_l1_loss(x, x, beta=-1.0)
    with pytest.raises(DtypeError, match="mse_loss: input"):
        F.mse_loss(t, t)
    with pytest.raises(ShapeError, match="pos_weight"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=minigrad.ones(2))


# --- the ends of the range --------------------------------------------------------------------------------------------

kernels.load()  # or small arrays would not be worth it

WAYS = pytest.mark.parametrize("way", [contextlib.nullcontext, kernels.disabled], ids=["kernels", "textbook"])


@WAYS
@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    "options", [{}, {"reduction": "sum"}, {"reduction": "none"}, {"weight": "zeros"}, {"label_smoothing": 0.1}]
)
def test_no_target_no_gradient(loss: str, shape: tuple[int, ...], options: dict[str, Any], way: Any) -> None:
    if loss == "nll_loss" and "label_smoothing" in options:
        return
    options, ignored = dict(options), -100
    if "weight" in options:
        options["weight"], ignored = minigrad.zeros(shape[1]), 0
    x = minigrad.tensor(np.random.default_rng(0).standard_normal(shape), dtype=minigrad.float32, requires_grad=True)
    target = minigrad.full((shape[0], *shape[2:]), ignored, dtype=minigrad.int64)
    with way():
        y = getattr(F, loss)(x, target, **options)
        y.backward(minigrad.full(y.shape, 1.5))
    assert y.isnan().all().item() is (options.get("reduction", "mean") == "mean")
    assert x.grad.tolist() == np.zeros(shape).tolist()


@WAYS
def test_one_batch_without_targets_leaves_weights_alone(way: Any) -> None:
    layer = minigrad.nn.Linear(2, 3)
    before = layer.weight.tolist()
    with way():
        F.cross_entropy(layer(minigrad.ones(4, 2)), minigrad.full((4,), -100, dtype=minigrad.int64)).backward()
        minigrad.optim.SGD(layer.parameters(), lr=0.1).step()
    assert layer.weight.tolist() == before


@WAYS
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_gradient_of_probabilities_is_finite(dtype: str, way: Any) -> None:
    kind = getattr(minigrad, dtype)
    x = minigrad.tensor([[0.0, 200.0]], dtype=kind)
    q = minigrad.tensor([[0.5, 0.5]], dtype=kind, requires_grad=True)
    with way():
        F.cross_entropy(x, q).backward()
    assert q.grad.tolist() == [[200.0, 0.0]]


@WAYS
@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", ["binary_cross_entropy", "binary_cross_entropy_with_logits"])
def test_small_binary_losses_keep_their_digits(name: str, target: float, way: Any) -> None:
    """Against the same in float64, where 1 − p and 1 + eˣ have room, one element at a time."""
    if name == "binary_cross_entropy":
        values = [*10.0 ** np.arange(-37, 0), 0.3, 0.49, 0.5, 0.51, 0.7, 0.9, 1 - 2.0**-20, 1 - 2.0**-24]
    else:
        values = [*np.linspace(-88, 88, 89), -1e4, 1e4, -3e38, 3e38]
    x = np.array(values, np.float32)
    wide = x.astype(np.float64)
    if name == "binary_cross_entropy":
        exact = -(target * np.log(wide) + (1 - target) * np.log1p(-wide))
    else:
        exact = np.maximum(wide, 0) - wide * target + np.log1p(np.exp(-abs(wide)))
        exact = np.where(target == 1, np.logaddexp(0, -wide), np.where(target == 0, np.logaddexp(0, wide), exact))
    with way():
        found = [getattr(F, name)(minigrad.tensor([v]), minigrad.tensor([target]), reduction="sum").item() for v in x]
    np.testing.assert_allclose(found, exact, rtol=2e-6, atol=2e-38)


@WAYS
def test_a_probability_that_1_minus_p_loses(way: Any) -> None:
    with way():
        assert F.binary_cross_entropy(minigrad.tensor([1e-8]), minigrad.tensor([0.0])).item() == pytest.approx(1e-8)
        loss = F.binary_cross_entropy_with_logits(minigrad.tensor([17.0]), minigrad.tensor([1.0]))
    assert loss.item() == pytest.approx(4.1399377e-8, rel=1e-6)


EXTREMES = [0.0, -0.0, 1e-45, -1e-38, 1.0, -88.0, 88.8, -104.0, 1e10, -1e20, 3e38, -3e38, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize(
    "loss",
    [
        lambda x, y: F.mse_loss(x, y),
        lambda x, y: F.binary_cross_entropy_with_logits(x, y * 0 + 1),
        lambda x, y: F.binary_cross_entropy_with_logits(x, y * 0),
        lambda x, y: F.cross_entropy(minigrad.stack([x, y], 1), minigrad.zeros(len(x), dtype=minigrad.int64)),
        lambda x, y: F.cross_entropy(minigrad.stack([x, y], 1), minigrad.ones(len(x), 2)),
        lambda x, y: minigrad.stack([x, y], 1).softmax(1),
        lambda x, y: minigrad.stack([x, y], 1).log_softmax(1),
    ],
    ids=["mse", "logits of 1", "logits of 0", "classes", "distribution", "softmax", "log_softmax"],
)
def test_kernels_answer_as_the_textbook_does(loss: Any) -> None:
    pairs = [(a, b) for a in EXTREMES for b in EXTREMES]
    for x, y in [*pairs, *((a, a / 2) for a in np.linspace(-110, 110, 40))]:
        found = []
        for way in (contextlib.nullcontext, kernels.disabled):
            tensors = [minigrad.full((64,), v, requires_grad=True) for v in (x, y)]
            with way(), np.errstate(all="ignore"):
                z = loss(*tensors)
                z.backward(minigrad.from_numpy(np.random.default_rng(0).random(z.shape, np.float32)))
            found.append([z.detach().numpy(), *[t.grad.numpy() for t in tensors if t.grad is not None]])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=3e-6, atol=2e-7, err_msg=f"{x}, {y}")


def test_smooth_l1_of_any_beta_is_as_pytorch() -> None:
    d = np.array([0.0, 1e-30, 1e-20, 1e-3, 1.0, 1e10, 1e20], np.float32)
    for beta in (0.0, 1e-40, 1e-10, 1.0, 1e10, 1e30):
        x = minigrad.tensor(d, requires_grad=True)
        y = F.smooth_l1_loss(x, minigrad.zeros(len(d)), reduction="none", beta=beta)
        y.backward(minigrad.arange(1.0, len(d) + 1.0))
        wide = d.astype(np.float64)
        exact = np.where(wide < beta, 0.5 * wide * (wide / (beta or 1.0)), wide - 0.5 * beta)
        slope = np.where(wide < beta, wide / (beta or 1.0), np.sign(wide))
        np.testing.assert_allclose(y.detach().numpy(), exact, rtol=1e-6, atol=1e-44)
        np.testing.assert_allclose(x.grad.numpy(), slope * np.arange(1, len(d) + 1), rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_at_0_and_of_nan(log_target: bool) -> None:
    inf, nan = np.inf, np.nan
    x = minigrad.tensor([-1.0, -inf, nan, -1.0, -1.0, nan], requires_grad=True)
    p = [0.0, 0.0, 0.0, nan, 0.5, 0.5]
    with np.errstate(all="ignore"):
        t = minigrad.tensor(np.log(p) if log_target else p, dtype=minigrad.float32, requires_grad=True)
    y = F.kl_div(x, t, reduction="none", log_target=log_target)
    y.backward(minigrad.full((6,), 2.0))
    slope = np.log(0.5) + 1 + 1
    np.testing.assert_allclose(y.detach().numpy(), [0, 0, nan, nan, 0.5 * (np.log(0.5) + 1), nan], rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 0, nan, -1.0, -1.0], rtol=1e-6)
    dt = 2 * slope * (0.5 if log_target else 1.0)
    np.testing.assert_allclose(t.grad.numpy(), [0, 0, nan, nan, dt, nan], rtol=1e-6)
