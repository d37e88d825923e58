"""TensorBoard logs under PyTorch's name: ``from minigrad.utils.tensorboard import SummaryWriter``.

The messages are made by tensorboardX, and written here (:mod:`minigrad.utils.tensorboard.event_file`), at once: its own
writer hands them to a thread, which cannot tell when the disk is full. Look at them with ``tensorboard --logdir runs``
(the package ``tensorboard``).
"""

from .writer import SummaryWriter

__all__ = ["SummaryWriter"]
