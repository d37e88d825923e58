"""Messages in TensorBoard's format, made from numbers and arrays.

tensorboardX makes most of them; here its inputs are checked and brought into the range that it expects.
"""

from __future__ import annotations

import enum
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...nested import mapped, on_host
from ...pixels import scaled_to_bytes


def number(what: str, value: Any) -> float:
    """One number: Python's, NumPy's, or that of an array or tensor with one element. Else TypeError or ValueError."""
    return float(_one(what, value))


def step_number(who: str, step: Any) -> int | None:
    """``global_step`` as an int: a finite number of any kind, or None."""
    if step is None:
        return None
    count = _one(f"{who}: global_step", step)
    if not math.isfinite(count):
        raise ValueError(f"{who}: global_step is {count}, expected a whole number")
    return int(count)


def _one(what: str, value: Any) -> Any:
    host = on_host(value)
    if hasattr(host, "__float__") and not isinstance(host, (np.ndarray, np.generic)):
        return host  # Python's numbers: also fractions, and integers of any size
    array = np.asarray(host)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} is {value!r} ({type(value).__name__}), expected a real number")
    if array.size != 1:
        raise ValueError(f"{what} has shape {array.shape}, expected one number")
    return array.item()


def _real_array(what: str, value: Any) -> np.ndarray:
    array = np.asarray(on_host(value))
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} is a {type(value).__name__} of dtype {array.dtype}, expected real numbers")
    return array


def checked_tag(who: str, tag: Any) -> str:
    """The tag in UTF-8: bytes of a name that are not (lone surrogates) are written as escapes."""
    if not isinstance(tag, str):
        raise TypeError(f"{who}: tag is {tag!r} ({type(tag).__name__}), expected text")
    return tag.encode("utf-8", "backslashreplace").decode()


def scalar(tag: str, value: Any) -> Any:
    from tensorboardX.proto.summary_pb2 import Summary

    simple = number(f"add_scalar: {tag!r}", value)
    return Summary(value=[Summary.Value(tag=checked_tag("add_scalar", tag), simple_value=simple)])


def histogram(tag: str, values: Any, bins: Any, max_bins: int | None) -> Any:
    """The bars of all finite elements. Without any there are no bars, but least, largest and sum tell why."""
    from tensorboardX.proto.summary_pb2 import HistogramProto, Summary
    from tensorboardX.summary import make_histogram

    array = _real_array(f"add_histogram: {tag!r}", values).astype(np.float64).ravel()
    if not array.size:
        raise ValueError(f"add_histogram: {tag!r} has no elements, so there is nothing to show")
    finite = array[np.isfinite(array)]
    edges = _growing_bins() if isinstance(bins, str) and bins == "tensorflow" else bins
    if finite.size:
        with np.errstate(over="ignore"):  # the sum of squares of huge numbers is infinite
            bars = make_histogram(finite, edges, max_bins)
    else:
        least, largest, total = array.min(), array.max(), float("nan")
        bars = HistogramProto(min=least, max=largest, sum=total, sum_squares=total, bucket_limit=[0.0], bucket=[0.0])
    bars.num = array.size
    return Summary(value=[Summary.Value(tag=checked_tag("add_histogram", tag), histo=bars)])


def _growing_bins() -> list[float]:
    """TensorFlow's edges: 0, ±1e-12, each 1.1 times the one before, and at the ends the largest floats."""
    edges = [1e-12]
    while edges[-1] < 1e20:
        edges.append(edges[-1] * 1.1)
    edges.append(sys.float_info.max)
    return [*(-edge for edge in reversed(edges)), 0.0, *edges]


def pixels(what: str, image: Any) -> np.ndarray:
    """uint8 as it is; other numbers times 255, in 0 … 255. NaN is black."""
    array = _real_array(what, image)
    if not array.size:
        raise ValueError(f"{what} has shape {array.shape}, so there is nothing to show")
    return array if array.dtype == np.uint8 else scaled_to_bytes(array)


def probabilities(tag: str, labels: Any, predictions: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (N,), checked."""
    truth = _real_array(f"add_pr_curve: labels of {tag!r}", labels).ravel()
    scores = _real_array(f"add_pr_curve: predictions of {tag!r}", predictions).astype(np.float64).ravel()
    if truth.size != scores.size:
        raise ValueError(
            f"add_pr_curve: {tag!r} has {truth.size} labels and {scores.size} predictions, expected as many"
        )
    if not ((scores >= 0) & (scores <= 1)).all():  # NaN is not, either
        raise ValueError(f"add_pr_curve: predictions of {tag!r} must be probabilities, 0 … 1; apply a sigmoid")
    return truth, scores


def hparams(settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> tuple[list[Any], dict[str, float]]:
    """The three messages for settings and metrics, and the metrics as numbers."""
    from tensorboardX import summary

    for name, given in (("hparam_dict", settings), ("metric_dict", metrics)):
        if not isinstance(given, Mapping):
            raise TypeError(f"add_hparams: {name} is a {type(given).__name__}, expected a dict")
    for key in (*settings, *metrics):
        checked_tag("add_hparams", key)
    numbers = {key: number(f"add_hparams: metric_dict[{key!r}]", value) for key, value in metrics.items()}
    plain = {key: _setting(key, value) for key, value in settings.items() if value is not None}
    return list(summary.hparams(plain, numbers)), numbers


def _setting(key: str, value: Any) -> bool | float | str:
    """A setting as TensorBoard knows it: a number, a truth value or text."""
    if isinstance(value, enum.Enum):
        return value.name
    plain = mapped(on_host(value), _listed)
    if isinstance(plain, (bool, str)):
        return plain
    if hasattr(plain, "__float__"):
        return float(plain)
    if isinstance(plain, (list, tuple, dict, set, frozenset, range, os.PathLike)):
        return str(plain)
    if callable(plain):
        return str(getattr(plain, "__name__", plain))
    raise TypeError(
        f"add_hparams: hparam_dict[{key!r}] is {value!r} ({type(value).__name__}), expected a number, True or False, "
        "text, None, or a list or tensor of those"
    )


def _listed(value: Any) -> Any:
    """An array as Python's numbers and lists."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.item() if value.size == 1 else value.tolist()
    return value
