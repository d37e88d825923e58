"""What is measured. A file a group; a case is one short function for minigrad and PyTorch alike.

Such a function takes a :class:`~benchmarks.libraries.Library` and returns the step to be timed. As minigrad
has PyTorch's face, the *same* function builds the same model, data and loss in both. Another library gets a
function of its own (:mod:`benchmarks.cases.alternatives`). To add a case, write one more function there.
"""

from . import training, convnets, programs, image_labs, loops, ops, layers, alternatives  # noqa: I001  (importing them registers their cases, in this order)
from .registry import BESIDE, CASES, GROUPS, SUMMED, Case, Step

__all__ = ["BESIDE", "CASES", "GROUPS", "SUMMED", "Case", "Step"]
