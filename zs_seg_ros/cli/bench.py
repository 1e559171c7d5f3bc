"""`zs-seg bench`: time and memory of a frame over the number of classes, compared with transformers' pipeline."""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from zs_seg_ros.cli.peak_memory import peak_memory_mb
from zs_seg_ros.errors import ModelError, ZeroShotSegmentationError
from zs_seg_ros.files import write_output
from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.segmenters.base import Segmenter
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.segmenters.registry import load_segmenter
from zs_seg_ros.segmenters.shared.checkpoint import find_checkpoint
from zs_seg_ros.segmenters.shared.stages import stage_times, wait_for_gpu
from zs_seg_ros.testing.reference_steps import Reference
from zs_seg_ros.testing.references import load_reference
from zs_seg_ros.types import Batch, RgbImage
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary

STAGES = ("prepare", "encode", "decode", "finish")
_COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
_OBJECTS = ("mug", "duck", "ball", "brick", "bear", "cube", "shoe", "lamp")
_CHANGED_CLASSES = _OBJECTS_DETECTED = 10
PROMPTS = tuple(f"{colour} {kind}" for kind in _OBJECTS for colour in _COLOURS)
"""Class names: their number matters for the cost, their meaning does not."""
_NEW = "shiny"


@dataclass(frozen=True)
class BenchRequest:
    """The arguments of the command line. size: (width, height) of the image. plot, json: where to write."""

    model: str
    options: LoadOptions
    counts: tuple[int, ...]
    size: tuple[int, int]
    repeats: int
    threshold: float
    with_reference: bool
    json: Path | None
    plot: Path | None


@dataclass(frozen=True)
class Row:
    """Medians for one number of classes, in ms; peak memory above what was in use before, in MB.

    reference_ms, reference_memory_mb: None without a reference.
    """

    classes: int
    stage_ms: dict[str, float]
    total_ms: float
    memory_mb: float
    reference_ms: float | None = None
    reference_memory_mb: float | None = None

    @property
    def times_faster(self) -> float | None:
        """The duration of the reference divided by that of this package; None without a reference."""
        return None if self.reference_ms is None else self.reference_ms / self.total_ms


def measure_model(request: BenchRequest) -> int:
    """Measure a model, print the table, write the requested files, and return the exit code."""
    return _bench(request, request.model, random=False)


def measure_random_model(request: BenchRequest) -> int:
    """Measure the published shape of a kind of model with random weights: the cost hardly depends on them.

    The threshold is set so that about ten instances are detected. Return the exit code.
    """
    from zs_seg_ros.testing.published import write_published

    with tempfile.TemporaryDirectory() as folder:
        model = write_published(request.model, Path(folder), (_NEW, *_COLOURS, *_OBJECTS))
        title = f"{request.model} with random weights"
        return _bench(replace(request, model=model), title, random=True)


def _bench(request: BenchRequest, title: str, random: bool) -> int:
    if request.plot:
        _check_plot()
    segmenter = load_segmenter(request.model, request.options)
    weights_mb = _weights_mb(request.model)
    reference = _reference(request) if request.with_reference else None
    width, height = request.size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    if random:
        threshold = _threshold_of_ten_objects(segmenter, image)
        request = replace(request, threshold=threshold)
    rows = _measure(segmenter, reference, image, request)
    _print(rows, title, segmenter, request, weights_mb)
    changes = _measure_change(segmenter)
    frame_ms = statistics.median(row.total_ms for row in rows)
    print(
        f"a vocabulary of {_CHANGED_CLASSES} classes comes into force in {changes[0]:.0f} ms, the time of "
        f"{changes[0] / frame_ms:.1f} frames; when repeated, in {changes[1]:.0f} ms"
    )
    if request.json:
        figures: dict[str, Any] = {
            "model": title,
            "device": segmenter.device,
            "size": request.size,
            "weights_mb": weights_mb,
            "change_ms": changes[0],
            "repeated_change_ms": changes[1],
            "rows": [asdict(row) | {"times_faster": row.times_faster} for row in rows],
        }
        write_output(request.json, (json.dumps(figures, indent=1) + "\n").encode())
    if request.plot:
        _plot(rows, title, request.plot)
    return 0


def _weights_mb(model: str) -> float:
    """Return the size on disk of a model's weights, or of a pair's."""
    folders = [find_checkpoint(part) for part in model.split(" + ")]
    files = [file for folder in folders for file in folder.glob("*.safetensors")]
    return sum(file.stat().st_size for file in files) / 1e6


def _threshold_of_ten_objects(segmenter: Segmenter[Any], image: RgbImage) -> float:
    names = _names(segmenter, 8)
    vocabulary = Vocabulary().changed_to(TargetClass(name) for name in names)
    batch = Batch((image,), vocabulary.thresholds(1e-6))
    [segmentation] = segmenter.segment(batch, segmenter.encode(vocabulary))
    scores = sorted((instance.score for instance in segmentation.instances or ()), reverse=True)
    return scores[min(_OBJECTS_DETECTED, len(scores)) - 1] if scores else 0.5


def _reference(request: BenchRequest) -> Reference | None:
    try:
        return load_reference(request.model, request.options)
    except ModelError as error:
        print(f"without a reference: {error}", file=sys.stderr)
        return None


def _names(segmenter: Segmenter[Any], count: int) -> Sequence[str]:
    names = segmenter.only_names or PROMPTS
    if count > len(names):
        raise ZeroShotSegmentationError(f"{count} classes are too many; give at most {len(names)}")
    return names[:count]


def _measure(
    segmenter: Segmenter[Any],
    reference: Reference | None,
    image: RgbImage,
    request: BenchRequest,
) -> list[Row]:
    """Alternate between this package and the reference, so that load on the machine affects both alike."""
    rows = []
    rounds = len(request.counts) * (request.repeats + 1)
    with tqdm(total=rounds, desc="measuring", disable=None, leave=False) as bar:
        for count in request.counts:
            names = _names(segmenter, count)
            vocabulary = Vocabulary().changed_to(TargetClass(name) for name in names)
            encoded = segmenter.encode(vocabulary)
            batch = Batch((image,), vocabulary.thresholds(request.threshold))

            def segment(batch: Batch = batch, encoded: Any = encoded) -> object:
                return segmenter.segment(batch, encoded)

            # Sorted, as this package's detectors do it: where the prompts are joined to one text, scores depend on
            # their order, and with them the number of boxes to segment.
            def refer(names: Sequence[str] = sorted(names)) -> object:
                return reference(image, names, request.threshold) if reference else None

            memory_mb = peak_memory_mb(segment, segmenter.device)  # also warms up
            reference_memory_mb = peak_memory_mb(refer, segmenter.device) if reference else None
            bar.update()
            stages: list[dict[str, float]] = []
            totals, references = [], []
            for _ in range(request.repeats):
                with stage_times() as times:
                    totals.append(_milliseconds(segment))
                stages.append(times)
                if reference:
                    references.append(_milliseconds(refer))
                bar.update()
            rows.append(
                Row(
                    count,
                    {s: statistics.median(t.get(s, 0.0) for t in stages) for s in STAGES},
                    statistics.median(totals),
                    memory_mb,
                    statistics.median(references) if references else None,
                    reference_memory_mb,
                )
            )
    return rows


def _measure_change(segmenter: Segmenter[Any]) -> tuple[float, float]:
    """Return the time in ms until a new vocabulary is in force, its trial image included: at first, and repeated."""
    names = segmenter.only_names or tuple(f"{_NEW} {prompt}" for prompt in PROMPTS)
    classes = [TargetClass(name) for name in names[:_CHANGED_CLASSES]]
    model = LiveModel(now_ns=time.time_ns)
    model.segmenter = segmenter

    def change() -> object:
        return model.change_vocabulary(classes)

    return _milliseconds(change), _milliseconds(change)


def _milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    wait_for_gpu()
    return (time.perf_counter() - start) * 1000


def _print(
    rows: Sequence[Row],
    title: str,
    segmenter: Segmenter[Any],
    request: BenchRequest,
    weights_mb: float,
) -> None:
    width, height = request.size
    print(
        f"{title} on {segmenter.device}, weights of {weights_mb:.0f} MB, {width}x{height}, "
        f"{torch.get_num_threads()} threads, median of {request.repeats}; load of this machine "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print("ms".rjust(43) + "MB".rjust(18) + "reference".rjust(13))
    print("classes" + "".join(s.rjust(9) for s in (*STAGES, "total")), end="")
    print("memory".rjust(9) + "ms".rjust(9) + "MB".rjust(8) + "faster".rjust(9))
    for row in rows:
        figures = [*(row.stage_ms[s] for s in STAGES), row.total_ms]
        line = f"{row.classes:7}" + "".join(f"{value:9.1f}" for value in figures)
        line += f"{row.memory_mb:9.0f}"
        if row.reference_ms is not None and row.times_faster is not None:
            line += f"{row.reference_ms:9.0f}{row.reference_memory_mb:8.0f}{row.times_faster:8.1f}x"
        print(line)
    few, many = rows[0], rows[-1]
    if many.classes > few.classes:
        ratio = many.total_ms / few.total_ms
        print(f"{many.classes} classes cost {ratio:.2f} times as much as {few.classes}")


def _check_plot() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ZeroShotSegmentationError(
            "--plot needs matplotlib, which is not installed; run: pip install matplotlib"
        ) from error


def _plot(rows: Sequence[Row], title: str, file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    counts = [row.classes for row in rows]
    bottom = np.zeros(len(rows))
    places = np.arange(len(rows))
    for stage in STAGES:
        height = np.array([row.stage_ms[stage] for row in rows])
        axes.bar(places, height, 0.6, bottom, label=stage)
        bottom += height
    reference = [row.reference_ms for row in rows if row.reference_ms is not None]
    if len(reference) == len(rows):
        axes.plot(places, reference, "k_", ms=24, label="reference")
    axes.set_xticks(places, [str(count) for count in counts])
    axes.set(xlabel="classes", ylabel="ms a frame", title=title)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format=file.suffix[1:] or "png")
    write_output(file, content.getvalue())
