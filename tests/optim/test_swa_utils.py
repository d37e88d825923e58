"""optim.swa_utils.update_bn against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad.optim.swa_utils import update_bn


def network(library):
    nn = library.nn
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3, momentum=0.3),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(48, 5), nn.BatchNorm1d(5, track_running_stats=False),
    )  # fmt: skip


@pytest.fixture
def twins():
    """The same weights in both, whose statistics are of something else."""
    minigrad.manual_seed(1)
    ours, theirs = network(minigrad), network(torch)
    theirs.load_state_dict({name: torch.tensor(value.numpy(force=True)) for name, value in ours.state_dict().items()})
    ours(minigrad.randn(8, 2, 8, 8) * 5 + 3)
    return ours, theirs


def images(count=23):
    return np.random.default_rng(2).standard_normal((count, 2, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "packed", [lambda x: x, lambda x: (x, "target"), lambda x: [x, 1, 2]], ids=["x", "pair", "list"]
)
def test_the_statistics_are_pytorchs(twins, packed):
    ours, theirs = twins
    x = images()
    parts = [slice(0, 10), slice(10, 20), slice(20, 23)]  # batches count alike
    update_bn([packed(minigrad.tensor(x[part])) for part in parts], ours)
    torch.optim.swa_utils.update_bn([packed(torch.tensor(x[part])) for part in parts], theirs)
    expected = dict(theirs.named_buffers())
    assert len(expected) == 6
    for name, buffer in ours.named_buffers():
        np.testing.assert_allclose(buffer.numpy(), expected[name].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_later_step_goes_on_from_them(twins):
    """The momenta are back: one more batch moves the averages by its share, not by a fourth."""
    ours, theirs = twins
    x = images()
    update_bn([minigrad.tensor(x[:10])], ours)
    torch.optim.swa_utils.update_bn([torch.tensor(x[:10])], theirs)
    ours(minigrad.tensor(x[10:]))
    theirs(torch.tensor(x[10:]))
    np.testing.assert_allclose(ours[4].running_mean.numpy(), theirs[4].running_mean.numpy(), rtol=1e-5, atol=1e-6)


def test_modes_momenta_and_gradients_stay_even_if_it_fails(twins):
    ours, _ = twins
    ours.eval()
    ours[1].train()
    with pytest.raises(minigrad.ShapeError):
        update_bn([minigrad.tensor(images()), minigrad.zeros(3, 3)], ours)
    assert [module.training for module in ours] == [i == 1 for i in range(9)]
    assert (ours[1].momentum, ours[4].momentum) == (0.1, 0.3)
    assert all(p.grad is None for p in ours.parameters())


def test_a_model_without_statistics_needs_no_batch():
    def loader():
        raise AssertionError("it was read")
        yield

    update_bn(loader(), minigrad.nn.Sequential(minigrad.nn.Linear(2, 3), minigrad.nn.GroupNorm(1, 3)))


def test_inputs_are_moved_first(twins):
    class Input:
        def __init__(self):
            self.asked = []

        def to(self, device):
            self.asked.append(device)
            return minigrad.tensor(images())

    given = Input()
    update_bn([given], twins[0], device="cpu")
    assert given.asked == ["cpu"]
