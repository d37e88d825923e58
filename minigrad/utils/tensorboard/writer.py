"""The writer of TensorBoard's logs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from ...nested import on_host
from ...nn import Module
from . import messages
from .event_file import EventFile, without_torch
from .graph import graph_of
from .messages import number, pixels, step_number

Step = int | None
Seconds = float | None  # since 1970; None is now


class SummaryWriter:
    """Writes scalars, histograms, images, text, figures and a network's graph for TensorBoard to show.

    Wherever a number or an array is taken, a tensor is too, on any device, with or without a gradient. A tag may be any
    text; two tags are one curve only if they are equal.

    Args:
        log_dir: the folder of the logs; ``runs/<date>_<host><comment>`` if None or "".
        comment: the ending of that default name; no effect if log_dir is given.
        purge_step: on taking up an interrupted run again, logs from this step on are hidden.
        max_queue, flush_secs: accepted for PyTorch's sake; an entry is written when it is added, none waits.
        filename_suffix: the ending of the file's name.
    Raises OSError where the folder cannot be written; so does every ``add_`` method, on a full disk, say. What was
    written before then stands, and nothing of the entry.
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
        with without_torch():
            from tensorboardX.proto.event_pb2 import Event, SessionLog
        if not log_dir:
            log_dir = Path("runs") / f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}"
        self.log_dir: str = os.fspath(log_dir)
        if "://" in self.log_dir:
            raise ValueError(
                f"SummaryWriter: log_dir is {self.log_dir!r}, expected a folder; addresses cannot be written"
            )
        self._suffix = filename_suffix
        self._files: dict[str, EventFile] = {}  # folder → the file that is open in it
        file = self._file_in(self.log_dir)
        if purge_step is not None:
            file.add(Event(session_log=SessionLog(status=SessionLog.START)), purge_step)

    def _file_in(self, folder: str) -> EventFile:
        if folder not in self._files:
            self._files[folder] = EventFile(folder, self._suffix)
        return self._files[folder]

    def _add(
        self, summary: Any, global_step: Any, walltime: Seconds, tag: str | None = None, folder: str | None = None
    ) -> None:
        """Write a message; ``tag`` replaces its own, in which tensorboardX has changed characters."""
        from tensorboardX.proto.event_pb2 import Event

        if tag is not None:
            for value in summary.value:
                value.tag = messages.checked_tag("SummaryWriter", tag)
        step = step_number("SummaryWriter", global_step)
        self._file_in(folder or self.log_dir).add(Event(summary=summary), step, walltime)

    def get_logdir(self) -> str:
        """The folder of the logs."""
        return self.log_dir

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Step = None,
        walltime: Seconds = None,
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
        self._add(messages.scalar(tag, scalar_value), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Step = None, walltime: Seconds = None
    ) -> None:
        """Several curves in one picture; each is a run of its own in a folder below."""
        summaries = {tag: messages.scalar(main_tag, value) for tag, value in tag_scalar_dict.items()}
        for tag, summary in summaries.items():
            folder = f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}"
            self._add(summary, global_step, walltime, folder=folder)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Step = None,
        bins: Any = "tensorflow",
        walltime: Seconds = None,
        max_bins: int | None = None,
    ) -> None:
        """How the elements of ``values`` (any shape) are spread. ``bins``: numpy.histogram's, or "tensorflow".

        NaN and infinite elements have no bar. Raises ValueError if there are no elements.
        """
        self._add(messages.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: Any,
        max: Any,
        num: Any,
        sum: Any,
        sum_squares: Any,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Step = None,
        walltime: Seconds = None,
    ) -> None:
        """A histogram that was counted already: bar i goes up to ``bucket_limits[i]``."""
        from tensorboardX.summary import histogram_raw

        numbers = [number(f"add_histogram_raw: a number of {tag!r}", x) for x in (min, max, num, sum, sum_squares)]
        bars = [on_host(x) for x in (bucket_limits, bucket_counts)]
        self._add(histogram_raw(tag, *numbers, *bars), global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Step = None, walltime: Seconds = None, dataformats: str = "CHW"
    ) -> None:
        """One image, (C, H, W) unless dataformats says "HWC" or "HW"; floats in 0 … 1 or uint8 in 0 … 255.

        What lies outside of 0 … 1 is drawn as the nearest of them.
        """
        from tensorboardX.summary import image

        array = pixels(f"add_image: {tag!r}", img_tensor)
        self._add(image("", array, dataformats=dataformats), global_step, walltime, tag)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Step = None, walltime: Seconds = None, dataformats: str = "NCHW"
    ) -> None:
        """A batch of images (N, C, H, W), shown side by side."""
        self.add_image(tag, img_tensor, global_step, walltime, dataformats)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Step = None,
        walltime: Seconds = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Sequence[str] | None = None,
    ) -> None:
        """An image with boxes (N, 4) drawn into it: xmin, ymin, xmax, ymax in pixels, with a label each if given."""
        from tensorboardX.summary import image_boxes

        array, boxes = pixels(f"add_image_with_boxes: {tag!r}", img_tensor), on_host(box_tensor)
        self._add(image_boxes("", array, boxes, rescale, dataformats, labels), global_step, walltime, tag)

    def add_figure(
        self, tag: str, figure: Any, global_step: Step = None, close: bool = True, walltime: Seconds = None
    ) -> None:
        """A Matplotlib figure, or a list of them, as an image."""
        from tensorboardX.utils import figure_to_image

        figures = list(figure) if isinstance(figure, (list, tuple)) else figure
        dataformats = "NCHW" if isinstance(figures, list) else "CHW"
        self.add_image(tag, figure_to_image(figures, close), global_step, walltime, dataformats)

    def add_video(
        self, tag: str, vid_tensor: Any, global_step: Step = None, fps: float = 4, walltime: Seconds = None
    ) -> None:
        """Films (N, T, C, H, W), as a GIF. Raises ImportError where the package moviepy is missing."""
        from tensorboardX.summary import video

        summary = video("", pixels(f"add_video: {tag!r}", vid_tensor), fps)
        if not summary.value[0].HasField("image"):
            raise ImportError("SummaryWriter.add_video needs the package moviepy: pip install moviepy")
        self._add(summary, global_step, walltime, tag)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Step = None, sample_rate: int = 44100, walltime: Seconds = None
    ) -> None:
        """A sound (L,), or (L, 2) for stereo, of samples in -1 … 1. Needs the package soundfile (else ImportError)."""
        from tensorboardX.summary import audio

        self._add(audio("", on_host(snd_tensor), sample_rate), global_step, walltime, tag)

    def add_text(self, tag: str, text_string: str, global_step: Step = None, walltime: Seconds = None) -> None:
        """Text, read as Markdown."""
        from tensorboardX.summary import text

        if not isinstance(text_string, str):
            raise TypeError(f"add_text: {tag!r} is a {type(text_string).__name__}, expected text; write str(...)")
        self._add(text(messages.checked_tag("add_text", tag), text_string), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Step = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: Seconds = None,
    ) -> None:
        """Precision against recall over the thresholds, from labels 0 and 1 and predicted probabilities.

        Raises ValueError for predictions outside of 0 … 1, and if there are not as many labels.
        """
        from tensorboardX.summary import pr_curve

        truth, scores = messages.probabilities(tag, labels, predictions)
        weight = None if weights is None else on_host(weights)
        self._add(pr_curve(tag, truth, scores, num_thresholds, weight), global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Step = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: Seconds = None,
    ) -> None:
        """Precision against recall, counted already: each argument (thresholds,)."""
        from tensorboardX.summary import pr_curve_raw

        counts = true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts
        columns = [on_host(column) for column in (*counts, precision, recall)]
        self._add(pr_curve_raw(tag, *columns, num_thresholds, on_host(weights)), global_step, walltime)

    def add_embedding(
        self,
        mat: Any,
        metadata: list[Any] | None = None,
        label_img: Any = None,
        global_step: Step = None,
        tag: str = "default",
        metadata_header: list[str] | None = None,
    ) -> None:
        """Points (N, D) for TensorBoard's projector, with a label and an image (N, C, H, W) for each if given."""
        from tensorboardX import SummaryWriter as Writer

        labels = None if metadata is None else [" ".join(str(label).split()) for label in on_host(list(metadata))]
        images = None if label_img is None else on_host(label_img)
        # It lies beside the event file, so that tensorboardX's writer can write it: with no such file of its own.
        writer = Writer(self.log_dir, write_to_disk=False)
        step = step_number("SummaryWriter.add_embedding", global_step)
        writer.add_embedding(on_host(mat), labels, images, step, tag, metadata_header)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Mapping[str, Any] | None = None,
        global_step: Step = None,
        walltime: Seconds = None,
    ) -> None:
        """Points (N, P, 3) in space, with colours (N, P, 3) in 0 … 255, and faces (N, F, 3), indices of points."""
        from tensorboardX.summary import mesh

        parts = [None if part is None else on_host(part) for part in (vertices, colors, faces)]
        self._add(mesh(tag, *parts, config_dict), global_step, walltime)

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """Which curves share a picture: {category: {title: ["Multiline" or "Margin", tags]}}."""
        from tensorboardX.summary import custom_scalars

        self._add(custom_scalars(layout), None, None)

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Curves in one picture; see :meth:`add_custom_scalars`."""
        self.add_custom_scalars({category: {title: ["Multiline", tags]}})

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """A curve between two others, three tags: value, lower, upper. See :meth:`add_custom_scalars`."""
        self.add_custom_scalars({category: {title: ["Margin", tags]}})

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: Step = None,
    ) -> None:
        """The settings of a run and what came of them, for the comparison of runs; kept as a run in a folder below.

        A setting is a number, True or False, or text; a tensor or array of one element is its number, a list becomes
        text, and None is left out.

        Raises TypeError, with its key, for a setting of another kind or a metric that is not a number, and
        NotImplementedError for hparam_domain_discrete, which tensorboardX cannot write.
        """
        if hparam_domain_discrete is not None:
            raise NotImplementedError(
                "SummaryWriter.add_hparams: hparam_domain_discrete is not supported; leave it out"
            )
        summaries, metrics = messages.hparams(hparam_dict, metric_dict)
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as below:
            for summary in summaries:
                below._add(summary, None, None)
            for tag, metric in metrics.items():
                below.add_scalar(tag, metric, global_step)

    def add_graph(
        self, model: Module, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """The network as TensorBoard's graph page shows it, found by running it once on an input.

        Args:
            model: a Module whose output is a tensor, or a tuple, list or dict of tensors.
            input_to_model: its input, or a tuple or list of inputs; each may be a tensor or a container of tensors.
            verbose: print the nodes, too.
            use_strict_trace: accepted for PyTorch's sake; there is no tracing, so it changes nothing.
        Raises ValueError without an input, or if no output depends on a parameter or an input of float dtype.
        """
        from tensorboardX.proto.event_pb2 import Event

        graph = graph_of(model, input_to_model)
        if verbose:
            print(graph)
        self._file_in(self.log_dir).add(Event(graph_def=graph.SerializeToString()))

    def flush(self) -> None:
        """Wait until the disk itself has everything, so that not even a power cut can take it."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close the files; a later call of an ``add_`` method opens another one."""
        while self._files:
            self._files.popitem()[1].close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        offered = ", ".join(n for n in dir(type(self)) if not n.startswith("_"))
        raise AttributeError(f"SummaryWriter has no {name!r}; it offers {offered}")
