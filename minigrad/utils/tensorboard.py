"""TensorBoard logs under PyTorch's name: ``from minigrad.utils.tensorboard import SummaryWriter``.

The files are written by tensorboardX; here its writer gets PyTorch's signatures and tensors are brought to the host.
Look at them with ``tensorboard --logdir runs`` (the package ``tensorboard``).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from ..nn import Module
from ..tensor import Tensor
from .tensorboard_graph import graph_of

__all__ = ["SummaryWriter"]


class SummaryWriter:
    """Writes scalars, histograms, images, text, figures and a network's graph for TensorBoard to show.

    Wherever a number or an array is taken, a tensor is too, on any device, with or without a gradient. What
    tensorboardX offers beyond the methods written out here (``add_video``, ``add_mesh``, …) is passed on to it.

    Args:
        log_dir: the folder of the logs; ``runs/<date>_<host><comment>`` if None.
        comment: the ending of that default name; no effect if log_dir is given.
        purge_step: on taking up an interrupted run again, logs from this step on are hidden.
        max_queue: how many entries may wait before a call waits for the disk.
        flush_secs: seconds between writes to the disk.
        filename_suffix: the ending of the file's name.
    Raises OSError where the folder cannot be written.
    Source: torch.utils.tensorboard.SummaryWriter.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        with _torch_left_alone():
            from tensorboardX import SummaryWriter as Writer
        self._writer: Any = Writer(
            None if log_dir is None else os.fspath(log_dir),
            comment=comment,
            purge_step=purge_step,
            max_queue=max_queue,
            flush_secs=flush_secs,
            filename_suffix=filename_suffix,
        )
        self.log_dir: str = self._writer.logdir

    def get_logdir(self) -> str:
        """The folder of the logs."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """One number (a Python number, or an array or tensor of one element) of the curve ``tag`` at a step.

        Raises NotImplementedError for new_style and double_precision: numbers are stored as float32 in the old style.
        """
        if new_style or double_precision:
            raise NotImplementedError(
                "SummaryWriter.add_scalar: new_style and double_precision are not supported; float32 is stored"
            )
        self._writer.add_scalar(tag, on_host(scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Several curves in one picture; each is a run of its own in a folder below."""
        self._writer.add_scalars(main_tag, on_host(tag_scalar_dict), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How the elements of ``values`` (any shape) are spread. ``bins``: numpy.histogram's, or "tensorflow"."""
        self._writer.add_histogram(tag, on_host(values), global_step, bins, walltime, max_bins)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """One image, (C, H, W) unless dataformats says "HWC" or "HW"; floats in 0 … 1 or uint8 in 0 … 255."""
        self._writer.add_image(tag, on_host(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """A batch of images (N, C, H, W), shown side by side."""
        self._writer.add_images(tag, on_host(img_tensor), global_step, walltime, dataformats)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A Matplotlib figure, or a list of them, as an image."""
        self._writer.add_figure(tag, figure, global_step, close, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Text, read as Markdown."""
        self._writer.add_text(tag, text_string, global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Precision against recall over the thresholds, from labels 0 and 1 and predicted probabilities."""
        arguments = (
            on_host(labels),
            on_host(predictions),
            global_step,
            num_thresholds,
            on_host(weights),
            walltime,
        )
        self._writer.add_pr_curve(tag, *arguments)

    def add_embedding(
        self,
        mat: Any,
        metadata: list[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: list[str] | None = None,
    ) -> None:
        """Points (N, D) for TensorBoard's projector, with a label and an image (N, C, H, W) for each if given."""
        self._writer.add_embedding(on_host(mat), metadata, on_host(label_img), global_step, tag, metadata_header)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """The settings of a run and what came of them, for the comparison of runs; kept as a run in a folder below.

        Raises NotImplementedError for hparam_domain_discrete, which tensorboardX cannot write.
        """
        if hparam_domain_discrete is not None:
            raise NotImplementedError(
                "SummaryWriter.add_hparams: hparam_domain_discrete is not supported; leave it out"
            )
        self._writer.add_hparams(dict(on_host(hparam_dict)), dict(on_host(metric_dict)), run_name, global_step)

    def add_graph(
        self, model: Module, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """The network as TensorBoard's graph page shows it, found by running it once on an input.

        Args:
            model: a Module whose output is a tensor, or a tuple, list or dict of tensors.
            input_to_model: its input, or a tuple of inputs.
            verbose: print the nodes, too.
            use_strict_trace: accepted for PyTorch's sake; there is no tracing, so it changes nothing.
        Raises ValueError without an input, or if no output depends on a parameter or an input of float dtype.
        """
        from tensorboardX.proto.event_pb2 import Event

        graph = graph_of(model, input_to_model)
        if verbose:
            print(graph)
        self._writer.file_writer.add_event(Event(graph_def=graph.SerializeToString()))

    def flush(self) -> None:
        """Write what has arrived to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write everything and close the file; a later call of an ``add_`` method opens another one."""
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        writer = self.__dict__.get("_writer")
        if not name.startswith("add_") or not hasattr(writer, name):
            offered = ", ".join(n for n in dir(type(self)) if not n.startswith("_"))
            raise AttributeError(f"SummaryWriter has no {name!r}; it offers {offered}")
        method = getattr(writer, name)

        def passed_on(*args: Any, **kwargs: Any) -> None:
            method(*[on_host(a) for a in args], **{key: on_host(a) for key, a in kwargs.items()})

        return passed_on


def on_host(value: Any) -> Any:
    """``value`` with every tensor and GPU array in it (also inside dicts, lists and tuples) made a NumPy array."""
    if isinstance(value, Tensor):
        return value.numpy(force=True)
    if isinstance(value, Mapping):
        return {key: on_host(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(on_host(item) for item in value)
    if type(value).__module__.partition(".")[0] == "cupy":
        return value.get()
    return value


@contextlib.contextmanager
def _torch_left_alone() -> Iterator[None]:
    """Keep ``import tensorboardX`` from importing PyTorch where that is installed and not in use.

    It wants it for one type annotation; the price would be a second, and another pool of threads in this process.
    """
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # type: ignore[assignment]  # an import of it then raises ImportError
    try:
        yield
    finally:
        if hide:
            del sys.modules["torch"]
