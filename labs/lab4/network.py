"""Lab 4: LeNet-5 and its initial weights."""

from __future__ import annotations

from collections import OrderedDict

import minigrad
from minigrad import nn


class LeNet5(nn.Module):
    """Images of bytes (N, 1, 32, 32) → scores (N, 10); 61,706 parameters.

        conv 6@5×5 → 28×28, mean of 2×2 → 14×14, conv 16@5×5 → 10×10, mean of 2×2 → 5×5, 120, 84, 10, with tanh between

    Images stay bytes until they are needed, a quarter of the memory; ``scale`` makes numbers of them.
    Source: Y. LeCun et al., Gradient-based learning applied to document recognition, 1998, with ten outputs for softmax
    in place of radial basis functions, and all of the first map layer joined with the second.
    """

    def __init__(self, scale: float = 1 / 255) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 6, 5),  # (N, 1, 32, 32) → (N, 6, 28, 28)
                tanh1=nn.Tanh(),
                pool1=nn.AvgPool2d(2),  # → (N, 6, 14, 14)
                conv2=nn.Conv2d(6, 16, 5),  # → (N, 16, 10, 10)
                tanh2=nn.Tanh(),
                pool2=nn.AvgPool2d(2),  # → (N, 16, 5, 5)
                flatten=nn.Flatten(),  # → (N, 400)
                fc1=nn.Linear(400, 120),
                tanh3=nn.Tanh(),
                fc2=nn.Linear(120, 84),
                tanh4=nn.Tanh(),
                fc3=nn.Linear(84, 10),
            )
        )

    def forward(self, images: minigrad.Tensor) -> minigrad.Tensor:
        return self.layers(images.float() * self.scale)


def initialise(model: nn.Module, how: str) -> None:
    """New weights: "glorot", uniform with zero biases; "wide", normal with a deviation of 1.5, biases of 1."""
    for name, parameter in model.named_parameters():
        if how == "glorot":
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.xavier_uniform_(parameter)
        else:
            nn.init.normal_(parameter, std=1.0 if name.endswith("bias") else 1.5)
