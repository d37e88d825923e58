"""Networks with gradients, for probes."""

from __future__ import annotations

import itertools

import minigrad
from minigrad import nn


def mlp(*sizes, activation=nn.Tanh):
    layers = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def with_gradients(model, inputs=4):
    minigrad.manual_seed(1)
    output = model(minigrad.randn(16, inputs))
    (output * minigrad.randn(*output.shape)).sum().backward()
    return model
