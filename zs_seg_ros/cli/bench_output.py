# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The tables and the plot of `zs-seg bench`."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zs_seg_ros.cli.bench_measure import STAGES, Row
from zs_seg_ros.errors import ZeroShotSegmentationError
from zs_seg_ros.files import write_output
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.base import Segmenter


def print_table(
    rows: Sequence[Row],
    title: str,
    segmenter: Segmenter[Any],
    size: tuple[int, int],
    repeats: int,
    weights_mb: float,
) -> None:
    """Print the rows of one model, over the number of classes, with those of its reference."""
    where = (
        f"{segmenter.device} in {segmenter.precision}" if segmenter.precision else segmenter.device
    )
    print(_heading(title, where, size, repeats, weights_mb))
    print("ms".rjust(43) + "MB".rjust(18) + "reference".rjust(13))
    print("classes" + "".join(s.rjust(9) for s in (*STAGES, "total")), end="")
    print("memory".rjust(9) + "ms".rjust(9) + "MB".rjust(8) + "faster".rjust(9))
    for row in rows:
        line = f"{row.classes:7}" + _figures(row)
        if row.reference_ms is not None and row.times_faster is not None:
            line += f"{row.reference_ms:9.0f}{row.reference_memory_mb:8.0f}{row.times_faster:8.1f}x"
        print(line)
    few, many = rows[0], rows[-1]
    if many.classes > few.classes:
        ratio, of_processor = many.total_ms / few.total_ms, many.processor_ms / few.processor_ms
        print(
            f"{many.classes} classes cost {ratio:.2f} times as much as {few.classes}, and {of_processor:.2f} times the "
            "processor time"
        )


def print_comparison(
    rows: Sequence[Row],
    title: str,
    device: str,
    size: tuple[int, int],
    repeats: int,
    weights_mb: float,
) -> None:
    """Print the rows of all input sizes, engines and precisions of a model.

    processor: ms of all threads together. faster: in comparison with the first row of as many classes. same labels:
    with those of the first engine and precision.
    """
    print(_heading(title, device, size, repeats, weights_mb))
    names = (
        "input",
        "engine",
        "precision",
        "classes",
        *STAGES,
        "total",
        "MB",
        "processor",
        "faster",
        "same labels",
    )
    widths = (10, 13, 13, 8, *(9 for _ in STAGES), 9, 9, 11, 8, 12)
    print("".join(name.rjust(width) for name, width in zip(names, widths, strict=True)))
    for row in rows:
        first = next(other for other in rows if other.classes == row.classes)
        line = f"{row.input_size:>10}{row.engine:>13}{row.precision:>13}{row.classes:8}" + _figures(
            row
        )
        line += f"{row.processor_ms:11.0f}{first.total_ms / row.total_ms:7.2f}x"
        line += "" if row.same_labels is None else f"{100 * row.same_labels:11.2f}%"
        print(line)


def _heading(title: str, where: str, size: tuple[int, int], repeats: int, weights_mb: float) -> str:
    width, height = size
    return (
        f"{title} on {where}, weights of {weights_mb:.0f} MB, {width}x{height}, "
        f"{torch.get_num_threads()} threads, median of {repeats}; load of this machine "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def _figures(row: Row) -> str:
    times = [*(row.stage_ms[stage] for stage in STAGES), row.total_ms]
    return "".join(f"{value:9.1f}" for value in times) + f"{row.memory_mb:9.0f}"


def check_plot() -> None:
    """Raise ZeroShotSegmentationError when matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ZeroShotSegmentationError(
            f"--plot needs matplotlib, which is not installed; run: {install_command('matplotlib')}"
        ) from error


def plot(rows: Sequence[Row], names: Sequence[str], axis: str, title: str, file: Path) -> None:
    """Write a bar for each row, divided into stages. names: of the rows; axis: what they are."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    bottom = np.zeros(len(rows))
    places = np.arange(len(rows))
    for stage in STAGES:
        height = np.array([row.stage_ms[stage] for row in rows])
        axes.bar(places, height, 0.6, bottom, label=stage)
        bottom += height
    reference = [row.reference_ms for row in rows if row.reference_ms is not None]
    if len(reference) == len(rows):
        axes.plot(places, reference, "k_", ms=24, label="reference")
    axes.set_xticks(places, list(names))
    axes.set(xlabel=axis, ylabel="ms a frame", title=title)
    axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format=file.suffix[1:] or "png")
    write_output(file, content.getvalue())
