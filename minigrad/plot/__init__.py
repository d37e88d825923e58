"""Pictures from numbers. Every function returns a Matplotlib figure; `figure.savefig(path)` writes it.

No window is opened and nothing global is touched: the figures are made without pyplot, so no display is needed, and
they are freed like any other object. Tensors on any device, arrays and lists are taken alike.
"""

from .curves import curves, fit
from .images import weight_images
from .matrix import confusion_matrix
from .surface import decision_surface

__all__ = ["confusion_matrix", "curves", "decision_surface", "fit", "weight_images"]
