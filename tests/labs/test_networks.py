"""The networks of the labs: their sizes, and what comes in and goes out."""

from __future__ import annotations

import pytest
from lab5.network import CNN, FCNet, ResCNN, ResidualBlock
from lab6.network import DepthCNN, KernelSizeCNN, MixedKernelCNN, PlainResidualBlock, ResNetLike
from lab7.network import BasicBlock, BlockNet, BottleneckBlock, WideBlock

import minigrad
from minigrad.utils import summary

MNIST, CIFAR10 = (1, 28, 28), (3, 32, 32)


@pytest.mark.parametrize(
    ("model", "shape", "parameters"),
    [
        (lambda: FCNet(784, [512, 256, 128]), MNIST, 567_434),
        (lambda: CNN(), MNIST, 421_642),
        (lambda: ResCNN(1, pool=7, dropout=0.25), MNIST, 108_042),
        (lambda: FCNet(3072, [2048, 1024, 512, 256]), CIFAR10, 9_050_378),
        (lambda: ResCNN(3, pool=4), CIFAR10, 87_498),
        (lambda: ResCNN(3, pool=4, dropout=0.5), CIFAR10, 87_498),
        # two convolutions of c channels k×k, and c numbers into ten classes: c (k² + 1) + c (c k² + 1) + 10 (c + 1)
        (lambda: KernelSizeCNN(1, 3), MNIST, 320 + 9_248 + 330),
        (lambda: KernelSizeCNN(1, 5), MNIST, 286 + 3_036 + 120),
        (lambda: KernelSizeCNN(3, 7), CIFAR10, 740 + 1_230 + 60),
        (lambda: MixedKernelCNN(3), CIFAR10, 128 + 9_248 + 330),
        (lambda: DepthCNN(1, 6), MNIST, 320 + 5 * 9_248 + 330),
        (lambda: ResNetLike(3), CIFAR10, 896 + 6 * 9_248 + 330),
        (lambda: BlockNet(BasicBlock()), MNIST, 160 + 4_704 + 170),
        (lambda: BlockNet(BottleneckBlock()), MNIST, 160 + 2_960 + 170),
        (lambda: BlockNet(WideBlock(), outputs=4), MNIST, 160 + 812 + 50),
    ],
)
def test_a_network_has_the_reports_size_and_gives_ten_scores(model, shape, parameters):
    network = model()
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network(minigrad.randn(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(("block", "parameters"), [(BasicBlock, 4_704), (BottleneckBlock, 2_960), (WideBlock, 812)])
def test_a_block_has_the_reports_size(block, parameters):
    assert sum(p.numel() for p in block().parameters()) == parameters


@pytest.mark.parametrize(
    ("network", "channels", "field"),
    [
        (KernelSizeCNN(1, 3), 1, 5),
        (KernelSizeCNN(1, 5), 1, 9),
        (KernelSizeCNN(3, 7), 3, 13),
        (MixedKernelCNN(3), 3, 3),
        (DepthCNN(1, 2), 1, 5),
        (DepthCNN(1, 4), 1, 9),
        (DepthCNN(3, 6), 3, 13),
    ],
)
def test_a_network_sees_as_much_of_the_image_as_the_report_says(network, channels, field):
    rows = summary(network.features, minigrad.randn(1, channels, 32, 32)).rows
    assert [row.receptive_field for row in rows if row.kind == "Conv2d"][-1] == field


def test_a_residual_block_with_silent_convolutions_passes_its_input_on():
    x = minigrad.rand(2, 8, 6, 6)  # not negative, so that the last ReLU changes nothing
    for block in (PlainResidualBlock(8), BasicBlock(8), BottleneckBlock(8, 4), ResidualBlock(8, 8)):
        block.eval()
        with minigrad.no_grad():
            last = [module for module in block.body if getattr(module, "weight", None) is not None][-1]
            last.weight.zero_()
            if getattr(last, "bias", None) is not None:
                last.bias.zero_()
        assert minigrad.equal(block(x), x)


def test_a_block_that_halves_the_image_has_a_shortcut_of_its_own():
    block = ResidualBlock(4, 8, stride=2)
    assert block(minigrad.randn(2, 4, 6, 6)).shape == (2, 8, 3, 3)
    assert [name for name, _ in block.shortcut.named_parameters()] == ["0.weight", "1.weight", "1.bias"]
    assert not list(ResidualBlock(4, 4).shortcut.parameters())
