from .blocks import *  # noqa: F403
from .network import SmallResNet, small_resnet
