"""Initialisation: the right distribution, seeded, with the fans and gains of PyTorch."""

import math

import numpy as np
import pytest
from scipy import stats

import minigrad
from minigrad import nn
from minigrad.nn import init


def drawn(function, *arguments, shape=(60, 50), dtype=minigrad.float32, **settings):
    """The numbers a function fills a tensor with, sorted out of their shape."""
    tensor = minigrad.empty(*shape, dtype=dtype)
    minigrad.manual_seed(0)
    assert function(tensor, *arguments, **settings) is tensor
    return tensor.numpy().ravel()


def follows(values, distribution):
    """Whether a Kolmogorov-Smirnov test lets the values pass as drawn from a distribution (the seed is
    fixed).
    """
    return stats.kstest(values, distribution.cdf).pvalue > 0.01


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


@pytest.mark.parametrize("dtype", [minigrad.float32, minigrad.float64])
@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        (init.uniform_, (), stats.uniform(0, 1)),
        (init.uniform_, (-2.0, 3.0), stats.uniform(-2, 5)),
        (init.normal_, (), stats.norm(0, 1)),
        (init.normal_, (2.0, 0.3), stats.norm(2, 0.3)),
        (init.trunc_normal_, (), stats.truncnorm(-2, 2)),
        (init.trunc_normal_, (1.0, 0.5, 0.0, 1.2), stats.truncnorm(-2, 0.4, 1, 0.5)),
        (init.trunc_normal_, (0.0, 1.0, 5.0, 7.0), stats.truncnorm(5, 7)),
        (init.trunc_normal_, (0.0, 1.0, -9.0, -8.0), stats.truncnorm(-9, -8)),
        # fan_in = 50, fan_out = 60
        (init.xavier_uniform_, (), uniform(math.sqrt(6 / 110))),
        (init.xavier_uniform_, (2.0,), uniform(2 * math.sqrt(6 / 110))),
        (init.xavier_normal_, (0.5,), stats.norm(0, 0.5 * math.sqrt(2 / 110))),
        (init.kaiming_uniform_, (), uniform(math.sqrt(6 / 50))),
        (init.kaiming_uniform_, (math.sqrt(5),), uniform(1 / math.sqrt(50))),
        (init.kaiming_uniform_, (0, "fan_out", "linear"), uniform(math.sqrt(3 / 60))),
        (init.kaiming_normal_, (), stats.norm(0, math.sqrt(2 / 50))),
        (init.kaiming_normal_, (0, "fan_out", "relu"), stats.norm(0, math.sqrt(2 / 60))),
        (init.kaiming_normal_, (0.2,), stats.norm(0, math.sqrt(2 / 1.04 / 50))),
    ],
)
def test_distributions(function, arguments, expected, dtype):
    values = drawn(function, *arguments, dtype=dtype)
    assert values.dtype == dtype.numpy
    assert follows(values.astype(np.float64), expected)
    low, high = expected.support()
    assert low <= values.min()
    assert values.max() <= high


def test_constants():
    assert (drawn(init.constant_, 0.3) == np.float32(0.3)).all()
    assert (drawn(init.ones_) == 1).all()
    assert (drawn(init.zeros_) == 0).all()
    for shape in ((3, 3), (2, 4), (4, 2)):
        np.testing.assert_array_equal(drawn(init.eye_, shape=shape).reshape(shape), np.eye(*shape))


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (4, 3, 2, 2), (5, 2, 1)])
def test_orthogonal(shape):
    values = drawn(init.orthogonal_, 1.5, shape=shape, dtype=minigrad.float64)
    matrix = values.reshape(shape[0], -1)
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(short @ short.T, 1.5**2 * np.eye(len(short)), atol=1e-12)


def test_orthogonal_matrices_have_no_preferred_sign():
    """Without the correction by the sign of R's diagonal, the first entry would always be negative."""
    signs = [np.sign(drawn_entry) for drawn_entry in (_first_entry(seed) for seed in range(200))]
    assert 60 < signs.count(1) < 140


def _first_entry(seed):
    tensor = minigrad.empty(3, 3)
    return init.orthogonal_(tensor, generator=minigrad.Generator().manual_seed(seed))[0, 0].item()


def test_gains_and_fans_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
    for shape in ((3, 4), (8, 3, 5, 5), (2, 7, 3), (4, 1, 2, 3, 4)):
        expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
        assert init.fans(minigrad.empty(*shape)) == expected


RANDOM = [
    init.uniform_,
    init.normal_,
    init.trunc_normal_,
    init.xavier_uniform_,
    init.xavier_normal_,
    init.kaiming_uniform_,
    init.kaiming_normal_,
    init.orthogonal_,
]


@pytest.mark.parametrize("function", RANDOM)
def test_draws_come_from_the_generator(function):
    a, b, c = (minigrad.empty(5, 4) for _ in range(3))
    generator = minigrad.Generator().manual_seed(3)
    minigrad.manual_seed(1)
    before = minigrad.get_rng_state()
    function(a, generator=generator)
    function(b, generator=generator)
    function(c, generator=generator.manual_seed(3))
    assert minigrad.equal(a, c)
    assert not minigrad.equal(a, b)
    assert minigrad.get_rng_state() == before


def test_parameters_are_filled_outside_the_graph():
    p = nn.Parameter(minigrad.empty(5, 4))
    y = p * p
    init.xavier_uniform_(p)
    assert p.is_leaf
    assert p.requires_grad
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward(minigrad.randn(5, 4))
    for fill in (init.trunc_normal_, init.orthogonal_, init.eye_, init.zeros_):
        y = p * p
        fill(p)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward(minigrad.randn(5, 4))


def test_views_and_other_layouts_are_filled():
    base = minigrad.zeros(4, 6)
    init.normal_(base.t()[1:3])
    assert ((base != 0).sum(0) == minigrad.tensor([0, 4, 4, 0, 0, 0])).all()


def test_layers_start_as_pytorchs_do():
    minigrad.manual_seed(0)
    layer = nn.Linear(64, 100)
    assert follows(layer.weight.detach().numpy().ravel(), uniform(1 / 8))
    assert follows(layer.bias.detach().numpy(), uniform(1 / 8))
    assert follows(nn.Embedding(50, 40).weight.detach().numpy().ravel(), stats.norm(0, 1))
    minigrad.manual_seed(5)
    first = nn.Linear(3, 3).weight
    minigrad.manual_seed(5)
    assert minigrad.equal(nn.Linear(3, 3).weight, first)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match=r"at least 2 axes \(out, in, …\), got shape \(3,\)"):
        init.kaiming_uniform_(minigrad.empty(3))
    with pytest.raises(ValueError, match="kaiming_normal_: mode must be 'fan_in' or 'fan_out', got 'fan'"):
        init.kaiming_normal_(minigrad.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="unknown nonlinearity 'gelu'; known are conv1d"):
        init.kaiming_normal_(minigrad.empty(3, 3), nonlinearity="gelu")
    with pytest.raises(ValueError, match="the negative slope must be a number"):
        init.calculate_gain("leaky_relu", "0.1")
    with pytest.raises(TypeError, match=r"normal_: expected a floating tensor, got minigrad\.int64"):
        init.normal_(minigrad.zeros(3, dtype=minigrad.int64))
    with pytest.raises(TypeError, match="uniform_: expected a Tensor, got ndarray"):
        init.uniform_(np.zeros(3))
    with pytest.raises(ValueError, match="eye_: expected a matrix"):
        init.eye_(minigrad.empty(3))
    with pytest.raises(ValueError, match="orthogonal_: expected at least 2 axes"):
        init.orthogonal_(minigrad.empty(3))
    with pytest.raises(ValueError, match="expected a < b and std > 0"):
        init.trunc_normal_(minigrad.empty(3), a=1, b=0)
    for function in RANDOM:
        function(minigrad.empty(0, 3))  # nothing to fill, nothing wrong


def test_names_without_underscore_are_taken_with_a_warning():
    for name in ("xavier_uniform", "kaiming_normal", "constant", "orthogonal", "normal", "zeros"):
        with pytest.warns(FutureWarning, match=f"init.{name} is an old name; write init.{name}_"):
            assert getattr(nn.init, name) is getattr(nn.init, name + "_")
    with pytest.raises(AttributeError, match=r"minigrad\.nn\.init has no 'xavier'"):
        nn.init.xavier  # noqa: B018
