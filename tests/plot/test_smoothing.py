"""TensorBoard's moving average."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.plot.smoothing import smooth


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
def test_each_value_is_the_weighted_mean_of_all_up_to_it(weight):
    x = np.random.default_rng(0).standard_normal(20)
    expected = [np.average(x[: t + 1], weights=weight ** np.arange(t, -1, -1.0)) for t in range(20)]
    assert np.allclose(smooth(x, weight), expected, rtol=1e-12)


def test_the_first_value_and_a_constant_stay_what_they_are():
    assert smooth([5], 0.99).tolist() == pytest.approx([5.0])
    assert smooth([2.0] * 50, 0.9).tolist() == pytest.approx([2.0] * 50)
    assert smooth([], 0.5).shape == (0,)


def test_nan_and_infinity_are_passed_over():
    gaps = smooth([1.0, np.nan, 3.0, np.inf, 2.0], 0.6)
    assert np.isnan(gaps[1])
    assert gaps[3] == np.inf
    assert np.allclose(gaps[[0, 2, 4]], smooth([1.0, 3.0, 2.0], 0.6), rtol=1e-12)


def test_the_input_is_unchanged_and_errors_name_what_came():
    x = np.array([1.0, 2.0])
    smooth(x, 0.9)
    assert x.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(N,\)"):
        smooth([[1, 2]], 0.5)
    for weight in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="weight is"):
            smooth([1.0], weight)
