# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""An evaluation as text for the terminal and as values for JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from zs_seg_ros.evaluation.evaluate import Evaluation
from zs_seg_ros.evaluation.pixel_scores import CONFUSED_SHARE, ClassScores
from zs_seg_ros.shown import quoted, shown

_INSIDE = 0.8
"""A class is reported as inside another one from this share of its area on."""
_RARELY_FOUND = 0.1
_OFTEN_WRONG = 0.5


def as_values(evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores as values that JSON can hold; NaN becomes None."""
    values = {
        "model": evaluation.model,
        "device": evaluation.device,
        "precision": evaluation.precision,
        "images": evaluation.images,
        "mean_iou": evaluation.mean_iou,
        "frequency_weighted_iou": evaluation.frequency_weighted_iou,
        "calibration_error": evaluation.calibration_error,
        "latency_ms": {"median": latency(evaluation, 50), "p95": latency(evaluation, 95)},
        "classes": [asdict(scores) for scores in evaluation.classes],
        "reliability": [asdict(entry) for entry in evaluation.reliability],
        "confusion": evaluation.confusion.tolist(),
        "findings": list(findings(evaluation)),
        "worst_images": [{"name": w.name, "mean_iou": w.mean_iou} for w in evaluation.worst],
    }
    if (objects := evaluation.objects) is not None:
        values |= {
            "average_precision": objects.average_precision,
            "average_precision_50": objects.average_precision_50,
            "panoptic_quality": objects.panoptic_quality,
        }
        for scores, (precision, quality) in zip(values["classes"], objects.classes, strict=True):
            scores |= {"average_precision": precision, "panoptic_quality": quality}
    cleaned: dict[str, Any] = _without_nan(values)
    return cleaned


def latency(evaluation: Evaluation, percentile: float) -> float:
    """Return a percentile of the time of an image, in ms."""
    return float(np.percentile(evaluation.latency_ms, percentile))


def findings(evaluation: Evaluation) -> tuple[str, ...]:
    """Return what the scores say about the vocabulary, in sentences with what to do; the worst class first."""
    texts = []
    for scores in sorted(evaluation.classes, key=lambda c: (math.isnan(c.iou), c.iou)):
        name = quoted(scores.name)
        if not scores.pixels:
            texts.append(f"{name} does not occur in the ground truth, so nothing is known about it")
        elif scores.confused_with is not None and scores.confused_share >= CONFUSED_SHARE:
            texts.append(_confused(scores, quoted(scores.confused_with), evaluation))
        elif scores.recall < _RARELY_FOUND:
            texts.append(
                f"{scores.recall:.0%} of the pixels of {name} are found: use other words or examples, or lower its "
                "threshold"
            )
        elif scores.precision < _OFTEN_WRONG:
            texts.append(
                f"{scores.precision:.0%} of the pixels labelled {name} are right: use narrower words, negatives, or a "
                "higher threshold"
            )
    return tuple(texts)


def _confused(scores: ClassScores, other: str, evaluation: Evaluation) -> str:
    text = (
        f"{scores.confused_share:.0%} of the pixels of {quoted(scores.name)} are labelled {other}"
    )
    inside = evaluation.inside.get(scores.name, 0.0)
    if inside < _INSIDE:
        return f"{text}: describe how the two differ, or merge them into one class"
    return (
        f"{text}, and alone {inside:.0%} of its area lies inside that of {other}: if it is a kind of it, give it "
        "a prompt that has all words of the other's and more, which then wins"
    )


def text_report(evaluations: Sequence[Evaluation]) -> str:
    """Return the scores as text, one table for each model, and a comparison where there are several."""
    parts = [_text(evaluation) for evaluation in evaluations]
    if len(evaluations) > 1:
        parts.append(_comparison(evaluations))
    return "\n\n".join(parts)


def _text(evaluation: Evaluation) -> str:
    names = [shown(scores.name) for scores in evaluation.classes]
    width = max(len("class"), *map(len, names))
    objects = evaluation.objects
    header = f"{'class':<{width}}    IoU  precision  recall  boundary IoU"
    lines = [
        f"{shown(evaluation.model, 300)} on {evaluation.device}, {evaluation.images} images",
        header + ("     AP     PQ" if objects else "") + "      pixels",
    ]
    for i, (scores, name) in enumerate(zip(evaluation.classes, names, strict=True)):
        line = (
            f"{name:<{width}}  {share(scores.iou)}  {share(scores.precision):>9}  {share(scores.recall):>6}  "
            f"{share(scores.boundary_iou):>12}"
        )
        if objects:
            precision, quality = objects.classes[i]
            line += f"  {share(precision)}  {share(quality)}"
        lines.append(f"{line}  {scores.pixels:>10}")
    lines.append(
        f"mean IoU {share(evaluation.mean_iou)}, weighted by frequency {share(evaluation.frequency_weighted_iou)}"
    )
    if objects:
        lines.append(
            f"AP {share(objects.average_precision)}, AP at IoU 0.5 {share(objects.average_precision_50)}, "
            f"panoptic quality {share(objects.panoptic_quality)}"
        )
    lines.append(f"expected calibration error {share(evaluation.calibration_error)}")
    lines.append(
        f"time of an image: median {latency(evaluation, 50):.1f} ms, 95 % below {latency(evaluation, 95):.1f} ms"
    )
    return "\n".join([*lines, *(f"finding: {text}" for text in findings(evaluation))])


def _comparison(evaluations: Sequence[Evaluation]) -> str:
    first = evaluations[0]
    lines = [f"IoU, {shown(first.model, 80)} against the others:"]
    for i, scores in enumerate(first.classes):
        others = ", ".join(
            f"{share(e.classes[i].iou)} {shown(e.model, 80)}" for e in evaluations[1:]
        )
        lines.append(f"{shown(scores.name)}: {share(scores.iou)} against {others}")
    others = ", ".join(f"{share(e.mean_iou)} {shown(e.model, 80)}" for e in evaluations[1:])
    return "\n".join([*lines, f"mean: {share(first.mean_iou)} against {others}"])


def share(value: float) -> str:
    """Format a share from 0 to 1 in five characters; a dash where nothing is judged."""
    return "    -" if math.isnan(value) else f"{value:.3f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
