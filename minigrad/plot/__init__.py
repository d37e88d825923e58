"""Pictures from numbers. Every function returns a Matplotlib figure, `figure.savefig(path)` writes it; `graph` alone
returns SVG.

No window is opened and nothing global is touched: the figures are made without pyplot, so no display is needed, and
they are freed like any other object. Tensors on any device, arrays and lists are taken alike.
"""

from .bars import bars, gradient_flow
from .curves import curves, fit, smoothed_curves
from .distributions import histograms_over_time
from .graph import graph
from .images import feature_maps, predictions, weight_images
from .matrix import confusion_matrix
from .receptive import receptive_fields
from .roc import roc_curve
from .scatter import scatter
from .surface import decision_surface

__all__ = [
    "bars",
    "confusion_matrix",
    "curves",
    "decision_surface",
    "feature_maps",
    "fit",
    "gradient_flow",
    "graph",
    "histograms_over_time",
    "predictions",
    "receptive_fields",
    "roc_curve",
    "scatter",
    "smoothed_curves",
    "weight_images",
]
