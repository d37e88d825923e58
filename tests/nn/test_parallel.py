"""DataParallel on one device: the network itself, under PyTorch's names."""

import numpy as np
import pytest

import minigrad
from minigrad import nn


def test_a_wrapped_network_computes_and_trains_as_itself():
    net = nn.Linear(3, 2)
    wrapped, x = nn.DataParallel(net, device_ids=[0]), minigrad.randn(4, 3)
    np.testing.assert_array_equal(wrapped(x).detach().numpy(), net(x).detach().numpy())
    upstream = minigrad.randn(4, 2)
    wrapped(x).backward(upstream)
    np.testing.assert_allclose(net.weight.grad.numpy(), upstream.numpy().T @ x.numpy(), rtol=1e-5, atol=1e-6)
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    wrapped.eval()
    assert not net.training
    assert nn.DataParallel is nn.parallel.DataParallel


def test_the_function_takes_a_tensor_or_a_tuple():
    net, x, y = nn.Identity(), minigrad.randn(2), minigrad.randn(3)
    assert nn.parallel.data_parallel(net, x, range(1)) is x

    class Scaled(nn.Module):
        def forward(self, a, b, scale=1):
            return a.sum() + scale * b.sum()

    result = nn.parallel.data_parallel(Scaled(), (x, y), module_kwargs={"scale": 2})
    assert result.item() == pytest.approx(x.sum().item() + 2 * y.sum().item(), rel=1e-6)


def test_several_devices_are_refused():
    with pytest.raises(NotImplementedError, match=r"DataParallel: device_ids names 2 devices, \[0, 1\]"):
        nn.DataParallel(nn.Identity(), device_ids=[0, 1])
    with pytest.raises(NotImplementedError, match="data_parallel: device_ids names 3 devices"):
        nn.parallel.data_parallel(nn.Identity(), minigrad.ones(1), range(3))
