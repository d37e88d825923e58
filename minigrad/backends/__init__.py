"""What PyTorch scripts ask and set of the libraries behind PyTorch (``torch.backends``).

minigrad computes with NumPy, CuPy and kernels of its own. It answers that the others are not there, and takes their
settings, which then change nothing.
"""

from . import cuda, cudnn, mps

__all__ = ["cuda", "cudnn", "mps"]
