# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The entries of /diagnostics: counts, times, and problems with their remedies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from zs_seg_ros.perception.live_model import LiveModel
from zs_seg_ros.shown import shown

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

RECENT_S = 5.0
"""How long a single bad message or model error stays visible."""
OLD_FRAME_MS = 1000.0
SILENCE_S = 1.0
"""Without a message, on a topic that usually has more than three in that time."""
LOG_EVERY_S = 10.0
"""A camera's problems are logged when they begin and this often while they last."""
_FRAMES_AVERAGED = 30
_MOST_PRESENCES = 20
"""Classes whose presence score is shown; a vocabulary may have thousands."""


@dataclass(frozen=True)
class Problem:
    """One problem and its remedy, in one sentence."""

    level: bytes
    text: str


@dataclass
class LastProblem:
    """The newest problem of its kind; forgotten after RECENT_S seconds."""

    _text: str = ""
    _at_s: float = float("-inf")

    def note(self, text: str) -> None:
        """Store a problem with the present time."""
        self._text, self._at_s = text, time.monotonic()

    @property
    def recent(self) -> str:
        """The problem, or an empty text if it is older than RECENT_S seconds."""
        return self._text if time.monotonic() - self._at_s < RECENT_S else ""


@dataclass
class CameraHealth:
    """Counts and times of one camera since it was activated. Written by two threads, one field each.

    presence: the presence score of each class in the newest image for which the model computed them, by name.
    """

    frames_in: int = 0
    frames_out: int = 0
    frames_refused: int = 0
    frames_failed: int = 0
    last_logged_s: float = float("-inf")
    bad_input: LastProblem = field(default_factory=LastProblem)
    no_pose: LastProblem = field(default_factory=LastProblem)
    ages_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_FRAMES_AVERAGED))
    inferred_ages_ms: deque[float | None] = field(
        default_factory=lambda: deque(maxlen=_FRAMES_AVERAGED)
    )
    presence: dict[str, float] = field(default_factory=dict)
    stages_ms: deque[dict[str, float]] = field(
        default_factory=lambda: deque(maxlen=_FRAMES_AVERAGED)
    )

    def count_received(self) -> None:
        """Count a received frame."""
        self.frames_in += 1

    def count_refused(self, reason: str) -> None:
        """Count a refused message, and store the reason."""
        self.frames_refused += 1
        self.bad_input.note(reason)

    def count_failed(self) -> None:
        """Count a frame on which inference failed."""
        self.frames_failed += 1

    def record_published(
        self, age_ms: float, stages_ms: dict[str, float], inferred_age_ms: float | None = None
    ) -> None:
        """Count published results, with their age and the duration of each stage.

        inferred_age_ms: the age of the image that the model segmented, for results that are carried to another one.
        """
        self.frames_out += 1
        self.inferred_ages_ms.append(inferred_age_ms)
        self.ages_ms.append(age_ms)
        self.stages_ms.append(stages_ms)

    def log_is_due(self) -> bool:
        """Return whether a log line is due; if so, the next one is due LOG_EVERY_S seconds later."""
        due = time.monotonic() - self.last_logged_s >= LOG_EVERY_S
        if due:
            self.last_logged_s = time.monotonic()
        return due

    def age_ms(self) -> float | None:
        """Median age of the newest results when they were published; None without any."""
        ages = sorted(self.ages_ms)
        return ages[len(ages) // 2] if ages else None

    def propagation(self) -> tuple[float, float] | None:
        """Return the share of carried results, 0 to 1, and the median age of the images that the model segmented.

        Both are over the newest results; None without any carried ones.
        """
        recent = list(self.inferred_ages_ms)
        ages = sorted(age for age in recent if age is not None)
        return (len(ages) / len(recent), ages[len(ages) // 2]) if ages else None

    def stage_means_ms(self) -> dict[str, float]:
        """Return the mean duration of each stage, by name, over the newest frames."""
        frames = list(self.stages_ms)
        names = {name for frame in frames for name in frame}
        return {
            name: sum(frame.get(name, 0.0) for frame in frames) / len(frames)
            for name in sorted(names)
        }


def _status(
    name: str, hardware: str, problems: list[Problem], values: dict[str, object]
) -> DiagnosticStatus:
    """Return one entry of the array: the level of the worst problem, and a message that lists all problems."""
    ranked = sorted(problems, key=lambda problem: problem.level, reverse=True)
    return DiagnosticStatus(
        name=name,
        hardware_id=hardware,
        level=ranked[0].level if ranked else OK,
        message="; ".join(problem.text for problem in ranked) or "all is well",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def model_status(
    node: str, state: str, requested_model: str, model: LiveModel, problems: list[Problem]
) -> DiagnosticStatus:
    """Return the entry of the model and the vocabulary. `problems` come before those that the state itself shows."""
    segmenter, vocabulary, kept = model.segmenter, model.vocabulary, model.kept.all
    problems = list(problems)
    if segmenter is None and not problems:
        problems.append(Problem(WARN, "not configured: no model is loaded"))
    elif segmenter is not None and state == "inactive":
        problems.append(Problem(WARN, "not active: images are not segmented"))
    elif segmenter is not None and model.encoded is None:
        call = f"ros2 service call {node}/set_vocabulary"
        problems.append(Problem(WARN, f"no vocabulary yet: set the classes to detect with {call}"))
    if segmenter is not None and segmenter.caution:
        problems.append(Problem(OK, segmenter.caution))
    values: dict[str, object] = {
        "state": state,
        "model": segmenter.model if segmenter else requested_model,
        "device": segmenter.device if segmenter else "",
        "precision": segmenter.precision if segmenter else "",
        "engine": segmenter.engine if segmenter else "",
        "vocabulary version": vocabulary.version,
        "classes": ", ".join(vocabulary.names),
        "kept objects": len(kept),
        "kept objects (bytes)": ", ".join(f"{each.name}: {each.nbytes}" for each in kept),
    }
    return _status(f"{node}: model", node, problems, values)


def presence_text(presence: Mapping[str, float]) -> str:
    """Return the highest presence scores with their classes, and how many are left out."""
    ranked = sorted(presence.items(), key=lambda item: -item[1])
    texts = [f"{shown(name)} {score:.2f}" for name, score in ranked[:_MOST_PRESENCES]]
    left_out = len(ranked) - len(texts)
    return ", ".join([*texts, f"{left_out} more"] if left_out else texts)


def camera_status(
    name: str, topic: str, health: CameraHealth, skipped: int, paced: int, problems: list[Problem]
) -> DiagnosticStatus:
    """Return the entry of one camera, its numbers in the order in which people read them.

    skipped, paced: the frames without results because of a busy model, and because of min_inference_period.
    """
    age = health.age_ms()
    values: dict[str, object] = {
        "frames in": health.frames_in,
        "frames out": health.frames_out,
        "frames skipped": skipped,
        "frames left out (min_inference_period)": paced,
        "frames refused": health.frames_refused,
        "frames failed": health.frames_failed,
        "frame age (ms)": "" if age is None else f"{age:.1f}",
    }
    if (propagation := health.propagation()) is not None:
        share, inferred_age_ms = propagation
        values["frames propagated (%)"] = f"{100 * share:.0f}"
        values["age of the inferred image (ms)"] = f"{inferred_age_ms:.1f}"
    if health.presence:
        values["presence scores"] = presence_text(health.presence)
    for stage, mean_ms in health.stage_means_ms().items():
        values[f"{stage} (ms)"] = f"{mean_ms:.2f}"
    return _status(name, topic, problems, values)
