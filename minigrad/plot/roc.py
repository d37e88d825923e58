"""ROC curves: how well scores separate two classes, over all thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .canvas import COLOURS, as_chart, legend, new_figure, one_line, to_array


def roc_curve(curves: Mapping[str, tuple[Any, Any, float]], title: str = "") -> Any:
    """Receiver operating characteristics: the share of class 1 found against the share of class 0 mistaken for it.

    Each curve runs over all thresholds of a score; the diagonal is what guessing gives. The area under a curve (AUC) is
    the probability that a sample of class 1 has a higher score than one of class 0; it stands in the legend.

    Args:
        curves: {name: (false positive rates (N,), true positive rates (N,), AUC)}, as scikit-learn's ``roc_curve`` and
            ``auc`` give them.
    Raises ValueError for no curves, other shapes, and rates outside 0 … 1 (NaN among them: a class without samples).
    """
    if not curves:
        raise ValueError("roc_curve: curves is empty, expected {name: (fpr, tpr, auc)}")
    figure, ((axes,),) = new_figure(4.4, 4.4 if len(curves) < 4 else 4.9)
    (guessing,) = axes.plot([0, 1], [0, 1], color="#9aa5b1", linewidth=1.0, linestyle=(0, (4, 4)))
    drawn = [("guessing (AUC 0.5)", guessing)]
    for i, (name, (fpr, tpr, auc)) in enumerate(curves.items()):
        fpr, tpr = to_array(fpr), to_array(tpr)
        if fpr.shape != tpr.shape or fpr.ndim != 1 or len(fpr) < 2:
            raise ValueError(
                f"roc_curve: curve {name!r} has false positive rates of shape {fpr.shape} and true ones of shape "
                f"{tpr.shape}, expected both (N,) with N ≥ 2"
            )
        for what, rates in (("false", fpr), ("true", tpr)):
            if not ((rates >= 0) & (rates <= 1)).all():
                raise ValueError(
                    f"roc_curve: curve {name!r} has {what} positive rates from {rates.min()} to {rates.max()}, "
                    "expected 0 … 1 (NaN: one of the classes has no samples)"
                )
        (line,) = axes.plot(fpr, tpr, color=COLOURS[i % len(COLOURS)], linewidth=1.6)
        drawn.append((f"{one_line(name, 28)} (AUC {float(auc):.3f})", line))
    as_chart(axes, "false positive rate", "true positive rate", title)
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    legend(figure, axes, drawn, columns=2, loc="lower right")
    return figure
