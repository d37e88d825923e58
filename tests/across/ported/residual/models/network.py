"""The network that the blocks make."""

import torch
from torch import nn
from torch.nn import init

from . import blocks


class SmallResNet(nn.Module):
    def __init__(self, block, num_blocks, width=8, num_classes=4):
        super().__init__()
        self.in_planes = width
        self.stem = nn.Sequential(blocks.conv3x3(3, width), nn.BatchNorm2d(width), nn.ReLU(True))
        self.layers = nn.Sequential(
            *(self._stage(block, width * 2**i, n, stride=1 if i == 0 else 2) for i, n in enumerate(num_blocks))
        )
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.linear = nn.Linear(self.in_planes, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d):
                init.constant_(m.weight, 1)
                init.constant_(m.bias, 0)

    def _stage(self, block, planes, count, stride):
        stage = []
        for s in [stride] + [1] * (count - 1):
            stage.append(block(self.in_planes, planes, s))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*stage)

    def forward(self, x):
        x = self.layers(self.stem(x))
        x = torch.flatten(self.pool(x), 1)
        return self.linear(x)


def small_resnet():
    return SmallResNet(blocks.BasicBlock, [1, 1])
