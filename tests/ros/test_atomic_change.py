# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every label image belongs to exactly one vocabulary, and to one that was in force in its time."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from planner import (
    Planner,
    image_message,
    pixels,
    repeating,
    running_node,
    stripes,
    target,
    wait_until,
)
from sensor_msgs.msg import Image

from zs_seg_ros import msg

COLOURS = ("red", "green", "blue", "yellow", "purple", "white")
IMAGE = stripes(*COLOURS, height=16, width=8)
FRAME_RATE_HZ = 30.0
IMAGES = 40


@dataclass(frozen=True)
class Change:
    """One accepted call: its vocabulary cannot be in force before `called` and is in force at `returned`."""

    vocabulary: msg.Vocabulary
    called: float
    returned: float


class Camera:
    """Publishes the same image again and again, and knows when each frame left."""

    def __init__(self, planner: Planner) -> None:
        self.sent: dict[tuple[int, int], float] = {}
        self._planner = planner

    def show(self) -> None:
        frame = image_message(IMAGE)
        self.sent[key(frame)] = time.monotonic()
        self._planner.send(frame)


def key(message: Image) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def random_classes(rng: random.Random) -> list[msg.TargetClass]:
    """Some names for some colours. The same name, and so the same id, means another colour each time."""
    names = rng.sample([f"thing {i}" for i in range(8)], rng.randint(1, 5))
    return [target(n, c) for n, c in zip(names, rng.sample(COLOURS, len(names)), strict=True)]


def expected_label(vocabulary: msg.Vocabulary) -> NDArray[np.uint8]:
    ids = {c.prompts[0]: i for c, i in zip(vocabulary.classes, vocabulary.ids, strict=True)}
    row = np.repeat([ids.get(colour, 0) for colour in COLOURS], 8)
    return np.broadcast_to(row.astype(np.uint8), IMAGE.shape[:2])


def could_be_in_force(changes: list[Change], since: float, until: float) -> list[msg.Vocabulary]:
    """Those that may have been in force at any moment from `since` to `until`, in seconds."""
    replaced = [change.returned for change in changes[1:]] + [float("inf")]
    return [
        change.vocabulary
        for change, end in zip(changes, replaced, strict=True)
        if change.called <= until and end >= since
    ]


def test_each_label_image_is_that_of_one_vocabulary_in_force_since_its_frame_was_published() -> (
    None
):
    rng = random.Random(7)
    changes: list[Change] = []
    results: list[tuple[Image, float]] = []
    with running_node() as planner:

        def change() -> None:
            called = time.monotonic()
            answer = planner.set_vocabulary(*random_classes(rng))
            assert answer.success, answer.message
            changes.append(Change(answer.vocabulary, called, time.monotonic()))

        def has_changed_for(count: int) -> bool:
            change()
            return len(results) >= count

        change()
        planner.subscribe(
            "/zs_seg/camera/label", Image, 100, lambda m: results.append((m, time.monotonic()))
        )
        camera = Camera(planner)
        with repeating(camera.show, FRAME_RATE_HZ):
            for count in range(1, IMAGES + 1):
                wait_until(partial(has_changed_for, count), f"{count} results")
            enough = len(results) + 5
            wait_until(lambda: len(results) >= enough, "frames after the last change")

    versions_seen = set()
    for label, received in results:
        vocabularies = could_be_in_force(changes, camera.sent[key(label)], received)
        fitting = [v.version for v in vocabularies if (pixels(label) == expected_label(v)).all()]
        candidates = [v.version for v in vocabularies]
        assert fitting, f"{pixels(label)[0, ::8]} is of none of the versions {candidates}"
        versions_seen.update(fitting)
    assert changes[-1].vocabulary.version == len(changes) > IMAGES
    assert len(versions_seen) > IMAGES / 2
