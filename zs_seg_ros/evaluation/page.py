# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""An evaluation as one self-contained HTML page: no script, no other file, no request."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from zs_seg_ros.evaluation.evaluate import Evaluation, WorstImage
from zs_seg_ros.evaluation.report import findings, latency, share
from zs_seg_ros.evaluation.truth import IGNORED
from zs_seg_ros.perception.overlay import as_bytes, class_colour
from zs_seg_ros.replay.report_html import escape
from zs_seg_ros.replay.report_images import jpeg

_SIDE_PX = 480
_IGNORED_RGB = (96, 96, 96)
_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5b6470; --page: #fff; --line: #d9dee4; --bar: 59 120 201; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ec; --soft: #9aa5b1; --page: #14181c; --line: #343c45; --bar: 106 164 238; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); max-width: 84rem;
  margin: 2rem auto; padding: 0 1.5rem; }
.wide { overflow-x: auto; } .soft { color: var(--soft); }
table { border-collapse: collapse; } td, th { padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0 2rem; } .panels { display: flex; flex-wrap: wrap; gap: 8px; }
.panels img { display: block; max-width: 100%; height: auto; }
.key { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 .9em; }
"""


def page(evaluations: Sequence[Evaluation], title: str) -> str:
    """Return the page: for each model its scores, its confusion matrix and its worst images, the worst first."""
    parts = [f"<h1>{escape(title)}</h1>", *(part for e in evaluations for part in _model(e))]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _model(evaluation: Evaluation) -> Iterable[str]:
    yield f"<h2>{escape(evaluation.model)}</h2>"
    yield (
        f"<p>Mean IoU <b>{share(evaluation.mean_iou)}</b>, weighted by frequency "
        f"{share(evaluation.frequency_weighted_iou)}; expected calibration error "
        f"{share(evaluation.calibration_error)}; {latency(evaluation, 50):.1f} ms an image (95 % below "
        f"{latency(evaluation, 95):.1f} ms), {evaluation.images} images on {escape(evaluation.device)}.</p>"
    )
    if (objects := evaluation.objects) is not None:
        yield (
            f"<p>AP {share(objects.average_precision)}, AP at IoU 0.5 {share(objects.average_precision_50)}, panoptic "
            f"quality {share(objects.panoptic_quality)}.</p>"
        )
    if sentences := findings(evaluation):
        yield f"<ul>{''.join(f'<li>{escape(s)}</li>' for s in sentences)}</ul>"
    yield _classes(evaluation)
    if evaluation.worst:
        yield "<h3>The worst images</h3>"
        yield f"<p>Left the image, in the middle the ground truth, right the model. {_legend(evaluation)}</p>"
        yield from map(_figure, evaluation.worst)
    yield "<h3>Confusion</h3><p>Rows: ground truth. Columns: labelled as. In per cent of the row.</p>"
    yield _confusion(evaluation)
    yield "<h3>Confidence of labelled pixels</h3>"
    yield _table(
        ("confidence", "mean", "right", "pixels"),
        (
            (
                f"{r.low:.1f} to {r.low + 0.1:.1f}",
                share(r.confidence),
                share(r.right),
                str(r.pixels),
            )
            for r in evaluation.reliability
        ),
    )


def _classes(evaluation: Evaluation) -> str:
    columns = ["class", "IoU", "precision", "recall", "boundary IoU"]
    objects = evaluation.objects
    columns += (["AP", "PQ"] if objects else []) + ["pixels"]
    rows = []
    for i, c in enumerate(evaluation.classes):
        row = [c.name, *map(share, (c.iou, c.precision, c.recall, c.boundary_iou))]
        row += [share(value) for value in objects.classes[i]] if objects else []
        rows.append([*row, str(c.pixels)])
    return _table(columns, rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _confusion(evaluation: Evaluation) -> str:
    names = ["(none)", *(c.name for c in evaluation.classes)]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *names))
    rows = []
    for name, counts in zip(names, evaluation.confusion, strict=True):
        total = counts.sum()
        if not total:
            continue
        cells = "".join(
            f'<td style="background: rgb(var(--bar) / {value:.2f})">{100 * value:.0f}</td>'
            for value in (counts / total).tolist()
        )
        rows.append(f"<tr><td>{escape(name)}</td>{cells}</tr>")
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _legend(evaluation: Evaluation) -> str:
    keys = (
        f'<span class="key" style="background: rgb{class_colour(n)}"></span>{escape(c.name)}'
        for n, c in enumerate(evaluation.classes, 1)
    )
    return (
        f'{"".join(keys)}<span class="key" style="background: rgb{_IGNORED_RGB}"></span>not judged'
    )


def _figure(worst: WorstImage) -> str:
    caption = f"{escape(worst.name)}: mean IoU {share(worst.mean_iou)}"
    grey = as_bytes(worst.image)
    panels = (grey, _painted(grey, worst.truth), _painted(grey, worst.label))
    titles = ("image", "ground truth", "model")
    images = "".join(
        _image(pixels, f"{t} of {worst.name}") for pixels, t in zip(panels, titles, strict=True)
    )
    return f'<figure><figcaption>{caption}</figcaption><div class="panels">{images}</div></figure>'


def _painted(image: NDArray[np.uint8], label: NDArray[np.uint16]) -> NDArray[np.uint8]:
    colours = np.array(
        [class_colour(n) for n in range(int(label[label != IGNORED].max(initial=0)) + 1)], np.uint8
    )
    painted = colours[np.where(label == IGNORED, 0, label)]
    painted[label == IGNORED] = _IGNORED_RGB
    mixed = cv2.addWeighted(np.ascontiguousarray(image), 0.4, painted, 0.6, 0)
    return np.asarray(np.where((label > 0)[..., None], mixed, image), np.uint8)


def _image(pixels: NDArray[np.uint8], description: str) -> str:
    scale = min(1.0, _SIDE_PX / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    resized = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
    data = base64.b64encode(jpeg(np.asarray(resized, np.uint8))).decode()
    sides = f'width="{size[0]}" height="{size[1]}"'
    return f'<img alt="{escape(description)}" {sides} src="data:image/jpeg;base64,{data}">'
