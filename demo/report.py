# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reports the demo's measurements, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robot import Received, VocabularyChange
from scoring import PromptScore, Sorted, Timing, mean_iou

from zs_seg_ros.files import write_output


@dataclass(frozen=True)
class Findings:
    """Everything that the demo measured."""

    timing: Timing
    frames: Sorted
    scores: list[PromptScore]
    first: VocabularyChange
    change: VocabularyChange


def write_results(path: Path, findings: Findings, received: Received) -> None:
    """Write the measurements as JSON (results.json)."""
    timing, frames, change = findings.timing, findings.frames, findings.change
    results: dict[str, Any] = {
        "frame_rate_hz": round(timing.frame_rate_hz, 3),
        "latency_ms": {
            "median": round(timing.latency_median_ms, 2),
            "p95": round(timing.latency_p95_ms, 2),
        },
        "frames": {
            "in": timing.camera_frames,
            "out": timing.labelled_frames,
            "dropped": timing.dropped_frames,
        },
        "mean_iou": round(mean_iou(findings.scores), 4),
        "phrases": [asdict(score) | {"iou": round(score.iou, 4)} for score in findings.scores],
        "vocabulary_change": {
            "call_ms": round(change.call_ms, 2),
            "ids_before": findings.first.ids,
            "ids_after": change.ids,
            "frames_before": len(frames.before),
            "frames_while_it_went_on": len(frames.between),
            "frames_after": len(frames.after),
            "frames_with_wrong_ids": 0,  # one would have ended the demo
            "warnings": [*findings.first.warnings, *change.warnings],
        },
        "diagnostics": {
            name: {"message": status.message} | {v.key: v.value for v in status.values}
            for name, status in sorted(received.diagnostics.items())
        },
    }
    write_output(path, (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())


def table(findings: Findings) -> str:
    """Return the measurements as a table for the terminal."""
    timing, frames, change = findings.timing, findings.frames, findings.change
    facts = (
        ("camera frames", f"{timing.camera_frames}"),
        (
            "segmented",
            f"{timing.labelled_frames} at {timing.frame_rate_hz:.1f} a second, {timing.dropped_frames} dropped",
        ),
        (
            "from image to mask",
            f"{timing.latency_median_ms:.0f} ms (median), {timing.latency_p95_ms:.0f} ms (95 %)",
        ),
        ("change of vocabulary", f"took {change.call_ms:.0f} ms while frames were processed"),
        (
            "frames with wrong ids",
            f"none of {len(frames.before)} before, {len(frames.between)} during, {len(frames.after)} after",
        ),
        (
            "mean overlap (mIoU)",
            f"{mean_iou(findings.scores):.2f} over {len(findings.scores)} prompts",
        ),
    )
    lines = [f"  {name:<22}  {value}" for name, value in facts]
    lines += ["", f"  {'prompt':<22}  {'id':>3}  {'overlap (IoU)':>13}  in force"]
    for score in findings.scores:
        when = {(True, True): "all the time", (True, False): "first"}.get(
            (score.before, score.after), "after the change"
        )
        unseen = ", never trained on" if score.held_out else ""
        lines.append(f"  {score.name:<22}  {score.id:>3}  {score.iou:>13.2f}  {when}{unseen}")
    return "\n".join(lines)
