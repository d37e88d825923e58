"""Winograd's matrices, and the small example that explains them."""

from __future__ import annotations

import doctest

import numpy as np

from minigrad.kernels.conv import winograd


def test_the_example_in_the_docstring_comes_to_what_it_says() -> None:
    found = doctest.testmod(winograd)
    assert found.attempted >= 5
    assert not found.failed


def test_the_matrices_make_a_correlation_of_six_products() -> None:
    rng = np.random.default_rng(1)
    d, g = rng.standard_normal(winograd.IN), rng.standard_normal(winograd.TAPS)
    y = winograd.TO_OUTPUT @ ((winograd.OF_WEIGHT @ g) * (winograd.OF_INPUT @ d))
    np.testing.assert_allclose(y, np.correlate(d, g, "valid"), rtol=1e-12)
