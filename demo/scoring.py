"""What the received frames are worth: overlap with the truth, frame rate, latency, consistency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from processes import DemoError
from robot import Received, VocabularyChange

from zs_seg_ros.bags.bag import GroundTruthLabel

LEAST_MEAN_IOU = 0.6
"""Below, something is broken: the model reaches more than 0.8 on scenes like these."""


@dataclass(frozen=True)
class PromptScore:
    """Overlap of one phrase with the truth, over all frames in which it was looked for.

    held_out: the words never occurred together in training. before, after: when it was looked for.
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
    """Of the labels. latency: from the image's stamp to the label's receipt."""

    camera_frames: int
    labelled_frames: int
    dropped_frames: int
    frame_rate_hz: float
    latency_median_ms: float
    latency_p95_ms: float


def timing(received: Received) -> Timing:
    """Frames count from the first labelled one on. Raises DemoError without any two labels."""
    labelled = sorted(received.labels)
    if len(labelled) < 2:
        raise DemoError(f"segmentation_node published {len(labelled)} label images, and no more")
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
    """Frames by the vocabulary that they must carry: before the change, after it, or either (while it went on)."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]


def sort_by_vocabulary(
    received: Received, change: VocabularyChange, in_force_since_ns: int
) -> Sorted:
    """A label that came before the call is of the old vocabulary, an image from after the swap of the new."""
    stamps = sorted(received.labels)
    before = tuple(s for s in stamps if received.label_received_ns[s] < change.called_ns)
    after = tuple(s for s in stamps if s > in_force_since_ns)
    between = tuple(s for s in stamps if s not in set(before) | set(after))
    return Sorted(before, between, after)


def check_ids(received: Received, frames: Sorted, old: dict[str, int], new: dict[str, int]) -> None:
    """Every frame must carry ids of one vocabulary alone, and of the right one. Raises DemoError."""
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
        raise DemoError(
            "the changed vocabulary had no effect: none of its new names was ever found"
        )


def prompt_scores(
    received: Received,
    frames: Sorted,
    old: dict[str, int],
    new: dict[str, int],
    truth_labels: tuple[GroundTruthLabel, ...],
) -> list[PromptScore]:
    """One score for each phrase of either vocabulary. Frames from while the change went on do not count."""
    known = {label.name: label for label in truth_labels}
    scores = []
    for name, class_id in (old | new).items():
        if name not in known:
            raise DemoError(f"the recording has no ground truth for {name!r}")
        looked_for_in = (frames.before if name in old else ()) + (
            frames.after if name in new else ()
        )
        intersection = union = true_pixels = 0
        for stamp_ns in looked_for_in:
            if stamp_ns not in received.truth:
                continue
            truth: NDArray[np.bool_] = received.truth[stamp_ns] == known[name].id
            found: NDArray[np.bool_] = received.labels[stamp_ns] == class_id
            intersection += int((truth & found).sum())
            union += int((truth | found).sum())
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
    """Over the phrases."""
    return float(np.mean([score.iou for score in scores]))


def check_overlap(scores: list[PromptScore]) -> None:
    """Raises DemoError when the mean IoU is below the least that is credible."""
    mean = mean_iou(scores)
    if mean < LEAST_MEAN_IOU:
        each = ", ".join(f"{score.name} {score.iou:.2f}" for score in scores)
        raise DemoError(
            f"mIoU is {mean:.2f}, at least {LEAST_MEAN_IOU} was expected; IoU of each phrase: {each}"
        )
