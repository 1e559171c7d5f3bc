# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Scores the received frames: IoU with the ground truth, frame rate, latency, consistency of ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from processes import DemoError
from robot import Received, VocabularyChange

from zs_seg_ros.bags.bag import GroundTruthLabel

LEAST_MEAN_IOU = 0.6
"""A lower mIoU means a bug: the model reaches more than 0.8 on scenes like these."""


@dataclass(frozen=True)
class PromptScore:
    """Overlap of one prompt with the ground truth, over all frames in which it was in the vocabulary.

    held_out: the words never occurred together in training. before, after: which vocabularies contain it.
    """

    name: str
    id: int
    held_out: bool
    before: bool
    after: bool
    intersection: int
    union: int
    true_pixels: int

    @property
    def iou(self) -> float:
        return self.intersection / self.union if self.union else 1.0


@dataclass(frozen=True)
class Timing:
    """Frame counts, rate and latency of the label images. latency: from the image's stamp to the label's receipt."""

    camera_frames: int
    labelled_frames: int
    dropped_frames: int
    frame_rate_hz: float
    latency_median_ms: float
    latency_p95_ms: float


def timing(received: Received) -> Timing:
    """Count frames from the first labelled one on. Raises DemoError for fewer than two label images."""
    labelled = sorted(received.labels)
    if len(labelled) < 2:
        raise DemoError(f"segmentation_node published only {len(labelled)} label images")
    # A label whose ground truth was lost on the way here was a camera frame, too.
    camera = {s for s in received.truth if labelled[0] <= s <= labelled[-1]} | set(labelled)
    latencies_ms = [(received.label_received_ns[s] - s) / 1e6 for s in labelled]
    return Timing(
        camera_frames=len(camera),
        labelled_frames=len(labelled),
        dropped_frames=len(camera - set(labelled)),
        frame_rate_hz=(len(labelled) - 1) / (labelled[-1] - labelled[0]) * 1e9,
        latency_median_ms=float(np.median(latencies_ms)),
        latency_p95_ms=float(np.percentile(latencies_ms, 95)),
    )


@dataclass(frozen=True)
class Sorted:
    """Stamps of frames by the vocabulary that they must carry: before the change, after it, or either (during it)."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


def sort_by_vocabulary(
    received: Received, change: VocabularyChange, in_force_since_ns: int
) -> Sorted:
    """Sort frames: a label received before the call is of the old vocabulary, an image after the swap of the new."""
    stamps = sorted(received.labels)
    before = tuple(s for s in stamps if received.label_received_ns[s] < change.called_ns)
    after = tuple(s for s in stamps if s > in_force_since_ns)
    between = tuple(s for s in stamps if s not in set(before) | set(after))
    return Sorted(before, between, after)


def check_ids(received: Received, frames: Sorted, old: dict[str, int], new: dict[str, int]) -> None:
    """Raise DemoError unless every frame carries the ids of one vocabulary, and of the right one."""
    for name in set(old) & set(new):
        if old[name] != new[name]:
            raise DemoError(f"{name!r} had the id {old[name]} and has {new[name]} after the change")
    old_ids, new_ids = {0, *old.values()}, {0, *new.values()}
    allowed = (
        (frames.before, (old_ids,)),
        (frames.between, (old_ids, new_ids)),
        (frames.after, (new_ids,)),
    )
    for stamps, vocabularies in allowed:
        for stamp_ns in stamps:
            ids = {int(i) for i in np.unique(received.labels[stamp_ns])}
            if not any(ids <= vocabulary for vocabulary in vocabularies):
                raise DemoError(
                    f"the frame at {stamp_ns} ns carries the ids {sorted(ids)}, which are of no vocabulary "
                    f"that was in force: before {old}, after {new}"
                )
    only_new = set(new.values()) - set(old.values())
    if not any(np.isin(list(only_new), received.labels[s]).any() for s in frames.after):
        raise DemoError("the changed vocabulary had no effect: none of its new names was detected")


def prompt_scores(
    received: Received,
    frames: Sorted,
    old: dict[str, int],
    new: dict[str, int],
    truth_labels: tuple[GroundTruthLabel, ...],
) -> list[PromptScore]:
    """Return one score for each prompt of either vocabulary. Frames during the change do not count."""
    known = {label.name: label for label in truth_labels}
    scores = []
    for name, class_id in (old | new).items():
        if name not in known:
            raise DemoError(f"the recording has no ground truth for {name!r}")
        stamps = (frames.before if name in old else ()) + (frames.after if name in new else ())
        intersection = union = true_pixels = 0
        for stamp_ns in stamps:
            if stamp_ns not in received.truth:
                continue
            truth: NDArray[np.bool_] = received.truth[stamp_ns] == known[name].id
            detected: NDArray[np.bool_] = received.labels[stamp_ns] == class_id
            intersection += int((truth & detected).sum())
            union += int((truth | detected).sum())
            true_pixels += int(truth.sum())
        scores.append(
            PromptScore(
                name,
                class_id,
                known[name].held_out,
                name in old,
                name in new,
                intersection,
                union,
                true_pixels,
            )
        )
    return scores


def mean_iou(scores: list[PromptScore]) -> float:
    """Return the mean over the prompts (mIoU)."""
    return float(np.mean([score.iou for score in scores]))


def check_overlap(scores: list[PromptScore]) -> None:
    """Raise DemoError when the mean IoU is below LEAST_MEAN_IOU."""
    mean = mean_iou(scores)
    if mean < LEAST_MEAN_IOU:
        each = ", ".join(f"{score.name} {score.iou:.2f}" for score in scores)
        raise DemoError(
            f"mIoU is {mean:.2f}, at least {LEAST_MEAN_IOU} was expected; IoU of each prompt: {each}"
        )
