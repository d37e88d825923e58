"""Losses as modules against PyTorch, with every reduction, and their errors."""

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)


def numbers(*shape):
    return rng.standard_normal(shape)


def probabilities(*shape):
    return rng.uniform(0.05, 0.95, shape)


def classes(count, *shape):
    return rng.integers(0, count, shape)


def log_probabilities(*shape):
    x = numbers(*shape)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


WEIGHTS = rng.uniform(0.2, 2.0, 4)

# name: (constructor given the library and a tensor maker, input, target)
LOSSES = {
    "MSE": (lambda nn, t, **k: nn.MSELoss(**k), numbers(5, 3), numbers(5, 3)),
    "L1": (lambda nn, t, **k: nn.L1Loss(**k), numbers(5, 3), numbers(5, 3)),
    "Huber": (lambda nn, t, **k: nn.HuberLoss(delta=0.6, **k), numbers(5, 3), numbers(5, 3)),
    "SmoothL1": (lambda nn, t, **k: nn.SmoothL1Loss(beta=0.6, **k), numbers(5, 3), numbers(5, 3)),
    "SmoothL1 0": (lambda nn, t, **k: nn.SmoothL1Loss(beta=0.0, **k), numbers(5, 3), numbers(5, 3)),
    "BCE": (lambda nn, t, **k: nn.BCELoss(**k), probabilities(5, 3), probabilities(5, 3)),
    "BCE weighted": (
        lambda nn, t, **k: nn.BCELoss(weight=t(WEIGHTS), **k),
        probabilities(5, 4),
        probabilities(5, 4),
    ),
    "BCE logits": (lambda nn, t, **k: nn.BCEWithLogitsLoss(**k), 5 * numbers(5, 3), probabilities(5, 3)),
    "BCE logits weighted": (
        lambda nn, t, **k: nn.BCEWithLogitsLoss(weight=t(WEIGHTS), pos_weight=t(WEIGHTS[::-1].copy()), **k),
        5 * numbers(5, 4),
        probabilities(5, 4),
    ),
    "NLL": (lambda nn, t, **k: nn.NLLLoss(**k), log_probabilities(6, 4), classes(4, 6)),
    "NLL weighted, ignoring": (
        lambda nn, t, **k: nn.NLLLoss(weight=t(WEIGHTS), ignore_index=1, **k),
        log_probabilities(8, 4),
        classes(4, 8),
    ),
    "NLL of images": (lambda nn, t, **k: nn.NLLLoss(**k), log_probabilities(2, 4, 3, 3), classes(4, 2, 3, 3)),
    "cross-entropy": (lambda nn, t, **k: nn.CrossEntropyLoss(**k), numbers(6, 4), classes(4, 6)),
    "cross-entropy weighted": (
        lambda nn, t, **k: nn.CrossEntropyLoss(weight=t(WEIGHTS), ignore_index=2, label_smoothing=0.1, **k),
        numbers(9, 4),
        classes(4, 9),
    ),
    "cross-entropy of probabilities": (
        lambda nn, t, **k: nn.CrossEntropyLoss(label_smoothing=0.2, **k),
        numbers(6, 4),
        probabilities(6, 4),
    ),
    "KL": (lambda nn, t, **k: nn.KLDivLoss(**k), log_probabilities(6, 4), probabilities(6, 4)),
    "KL of logs": (
        lambda nn, t, **k: nn.KLDivLoss(log_target=True, **k),
        log_probabilities(6, 4),
        log_probabilities(6, 4),
    ),
}


CASES = [(name, reduction) for name in LOSSES for reduction in ("mean", "sum", "none")]
CASES += [("KL", "batchmean"), ("KL of logs", "batchmean")]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's own, about KLDivLoss
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])
@pytest.mark.parametrize(("name", "reduction"), CASES)
def test_same_as_pytorch(name, reduction, dtype, tolerance):
    make, x, target = LOSSES[name]
    results = []
    for library in (minigrad, torch):

        def tensor(a, library=library, **settings):
            a = np.asarray(a)
            return library.tensor(a.astype(dtype) if a.dtype.kind == "f" else a, **settings)

        loss = make(library.nn, tensor, reduction=reduction)
        a = tensor(x, requires_grad=True)
        y = loss(a, tensor(target))
        y.backward(tensor(np.random.default_rng(1).standard_normal(tuple(y.shape))))
        results.append((y.detach().numpy(), a.grad.numpy()))
    for mine, other in zip(*results, strict=True):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)


def test_weights_are_buffers():
    loss = nn.BCEWithLogitsLoss(weight=minigrad.ones(3), pos_weight=minigrad.ones(3))
    assert [name for name, _ in loss.named_buffers()] == ["weight", "pos_weight"]
    assert list(loss.parameters()) == []
    assert loss.double().weight.dtype == minigrad.float64
    assert nn.CrossEntropyLoss().weight is None
    assert repr(nn.CrossEntropyLoss(weight=minigrad.ones(3))) == "CrossEntropyLoss()"


@pytest.mark.parametrize(
    "kind",
    [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.BCELoss, nn.NLLLoss, nn.CrossEntropyLoss, nn.KLDivLoss],
)
def test_the_old_arguments_are_taken_with_a_warning_and_wrong_ones_refused(kind):
    for old, reduction in (("size_average", "sum"), ("reduce", "none")):
        with pytest.warns(UserWarning, match=f"{kind.__name__}: size_average and reduce .* reduction='{reduction}'"):
            assert kind(**{old: False}).reduction == reduction
    with pytest.raises(ValueError, match=f"{kind.__name__}: reduction must be one of .*; got 'average'"):
        kind(reduction="average")


def test_bad_settings():
    with pytest.raises(ValueError, match="delta must be positive"):
        nn.HuberLoss(delta=0)
    with pytest.raises(ValueError, match="beta must not be negative"):
        nn.SmoothL1Loss(beta=-1)
    with pytest.raises(ValueError, match="label_smoothing must lie between 0 and 1"):
        nn.CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ValueError, match="got 'batchmean'"):
        nn.MSELoss(reduction="batchmean")
