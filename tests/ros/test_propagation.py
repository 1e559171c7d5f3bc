# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""With propagation every image of a camera gets results of its own moment, however slow the model is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from panning import iou, poster, view
from planner import (
    TIMEOUT_S,
    Planner,
    image_message,
    pixels,
    running_node,
    stamp,
    values,
    wait_until,
)

from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import Batch

FRAME_S = 0.05
SECOND = 10**9
HOUR = 3600 * SECOND
STEP = SECOND // 20


@contextmanager
def slow_node(
    monkeypatch: pytest.MonkeyPatch, delay_s: float = 0.3, **parameters: Any
) -> Iterator[Planner]:
    monkeypatch.setattr(
        "zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: FakeSegmenter(delay_s=delay_s)
    )
    with running_node({"classes": ["red"], "propagation": "flow"} | parameters) as planner:
        yield planner


class Camera:
    """A camera that pans by 2 pixels from image to image, to the right and back."""

    def __init__(self, planner: Planner, name: str = "camera") -> None:
        self._planner = planner
        self._name = name
        self.shifts: dict[int, int] = {}

    def send(self, count: int) -> list[int]:
        """Publish images at 20 Hz. Returns their stamps."""
        return [self._send_one() for _ in range(count)]

    def _send_one(self) -> int:
        shift = 2 * (40 - abs(len(self.shifts) % 80 - 40))
        message = image_message(view(shift))
        self._planner.send(message, self._name)
        self.shifts[ns(message.header.stamp)] = shift
        time.sleep(FRAME_S)
        return ns(message.header.stamp)

    def send_until_answered(self, results: list[Any]) -> None:
        before = len(results)
        wait_until(lambda: self.send(1) and len(results) > before, "the first result")


def ns(time_message: Any) -> int:
    return int(time_message.sec * 10**9 + time_message.nanosec)


def by_stamp(messages: list[Any]) -> dict[int, Any]:
    return {ns(message.header.stamp): message for message in messages}


def test_every_image_gets_a_result_of_its_own_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch) as planner:
        labels, objects = planner.outputs(), planner.outputs("objects")
        camera = Camera(planner)
        camera.send_until_answered(labels)

        def nearly_all_of_twenty() -> list[int]:
            """Stamps of answered images. A busy machine may skip one, and more of some twenty."""
            sent = camera.send(20)
            wait_until(lambda: sent[-1] in by_stamp(objects), "the last result")
            answered = [stamp for stamp in sent if stamp in by_stamp(labels)]
            return answered if len(answered) >= 18 else []

        stamps = wait_until(nearly_all_of_twenty, "results of 18 of 20 images")
        answered = by_stamp(labels)
        overlaps = [iou(pixels(answered[s]), poster(camera.shifts[s])) for s in stamps]
        assert min(overlaps) > 0.7
        published = [ns(label.header.stamp) for label in labels]
        assert published == sorted(set(published))

        inferred = [ns(message.inferred_stamp) for message in objects]
        own = [ns(message.header.stamp) for message in objects]
        assert inferred == sorted(inferred)
        assert all(before <= now for before, now in zip(inferred, own, strict=True))
        assert set(inferred) < set(camera.shifts)  # stamps of images, fewer than there are
        assert max(now - before for before, now in zip(inferred, own, strict=True)) >= 0.2e9


def test_an_object_keeps_its_track_id_through_the_results_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch) as planner:
        objects = planner.outputs("objects")
        camera = Camera(planner)
        camera.send_until_answered(objects)
        stamps = camera.send(20)
        wait_until(lambda: stamps[-1] in by_stamp(objects), "the last result")
        assert len({ns(message.inferred_stamp) for message in objects}) >= 3
        ids = [[each.track_id for each in message.objects] for message in objects[2:]]
        assert all(each == ids[0] != [0] for each in ids)


def test_the_first_image_gets_its_result_without_a_second_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch, delay_s=0.05) as planner:
        message = image_message(view(0))
        planner.outputs("objects")
        label = planner.answer_to(message)
        assert iou(pixels(label), poster(0)) == 1
        same = planner.output_with_stamp_of(message, planner.outputs("objects"))
        assert same.inferred_stamp == same.header.stamp


def test_a_cut_is_answered_by_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    other = np.random.default_rng(3).integers(0, 256, (120, 160, 3), np.uint8)
    other[:50] = (220, 30, 30)
    with slow_node(monkeypatch, delay_s=0.05) as planner:
        planner.answer_to(image_message(view(0)))
        label = pixels(planner.answer_to(image_message(other)))
        assert label[:50].all() and label[60:].mean() < 0.5


def test_a_stamp_that_jumps_back_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch, delay_s=0.05) as planner:
        planner.answer_to(image_message(view(0)))
        earlier = image_message(view(60))
        stamp(earlier, time.time_ns() - 20 * 10**9)
        assert iou(pixels(planner.answer_to(earlier)), poster(60)) == 1


def shown(planner: Planner, shift: int, stamp_ns: int) -> tuple[float, Any]:
    """Show one image. Returns the IoU of its label image with the truth, and its objects."""
    labels, objects = planner.outputs(), planner.outputs("objects")
    message = image_message(view(shift))
    stamp(message, stamp_ns)
    planner.send(message)
    label = pixels(planner.output_with_stamp_of(message, labels))
    return iou(label, poster(shift)), planner.output_with_stamp_of(message, objects)


def pan(planner: Planner, start_ns: int, begin: int = 0) -> None:
    """Show six images, the first of which the model must answer, and no others from before it."""
    for number in range(6):
        overlap, objects = shown(planner, begin + 2 * number, start_ns + number * STEP)
        inferred_ns = ns(objects.inferred_stamp)
        assert start_ns <= inferred_ns <= start_ns + number * STEP
        assert overlap == 1 if inferred_ns == ns(objects.header.stamp) else overlap > 0.7


def test_after_stamps_that_jump_on_and_back_nothing_from_before_is_carried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time_ns()
    with slow_node(monkeypatch, delay_s=0.05) as planner:
        for jump_ns in (0, HOUR, 10 * SECOND, -HOUR, 20 * SECOND, 23 * SECOND):
            pan(planner, now + jump_ns)


def test_a_camera_that_stops_has_no_more_results_and_begins_anew_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time_ns()
    with slow_node(monkeypatch, delay_s=0.05) as planner:
        pan(planner, now)
        answered = len(planner.outputs())
        planner.diagnosis_saying("camera", "its publisher is there but silent")
        assert len(planner.outputs()) == answered
        # After a second it is where it was, or nearly; after five it may be anywhere.
        overlap, _ = shown(planner, 14, now + 5 * STEP + SECOND)
        assert overlap > 0.7
        pan(planner, now + 5 * STEP + 6 * SECOND, begin=40)


def test_propagation_can_change_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch, propagation="off") as planner:
        labels = planner.outputs()
        camera = Camera(planner)

        def answered() -> int:
            camera.send_until_answered(labels)
            stamps = camera.send(12)
            wait_until(lambda: stamps[-1] in by_stamp(labels), "the last result")
            return len(set(stamps) & by_stamp(labels).keys())

        assert answered() <= 6
        assert planner.set_parameters({"propagation": "flow"}).successful
        camera.send(8)
        assert answered() >= 9
        assert planner.set_parameters({"propagation": "auto"}).successful
        assert answered() >= 9
        assert planner.set_parameters({"propagation": "off"}).successful
        camera.send(8)
        assert answered() <= 6
        published = [ns(label.header.stamp) for label in labels]
        assert published == sorted(set(published))


def test_results_belong_to_the_vocabulary_that_the_model_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch) as planner:
        objects = planner.outputs("objects")
        camera = Camera(planner)
        camera.send_until_answered(objects)
        stop = len(objects) + 100
        response = planner.ask_vocabulary("red poster")
        while not (response.done() and objects[-1].vocabulary_version == 2) and len(objects) < stop:
            camera.send(1)
        camera.send(5)
        versions = [message.vocabulary_version for message in objects]
        assert versions == sorted(versions) and set(versions) == {1, 2}
        names = {1: ("red", 1), 2: ("red poster", 2)}
        for message in objects:
            for each in message.objects:
                assert (each.class_name, each.class_id) == names[message.vocabulary_version]


def test_outputs_may_be_subscribed_to_while_results_are_carried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch) as planner:
        labels, camera = planner.outputs(), Camera(planner)
        camera.send_until_answered(labels)
        objects = planner.outputs("objects")
        camera.send_until_answered(objects)
        assert objects[-1].objects[0].class_name == "red"


def test_an_upside_down_camera_is_carried_in_its_own_image(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch, **{"camera.rotation": 180}) as planner:
        labels, camera = planner.outputs(), Camera(planner)
        camera.send_until_answered(labels)
        [last] = camera.send(8)[-1:]
        label = wait_until(lambda: by_stamp(labels).get(last), "the last result")
        assert iou(pixels(label), poster(camera.shifts[last])) > 0.7


def test_each_camera_is_carried_on_its_own_and_may_be_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch, cameras=["left", "right"]) as planner:
        labels = {name: planner.outputs(camera=name) for name in ("left", "right")}
        cameras = {name: Camera(planner, name) for name in labels}
        for name, camera in cameras.items():
            camera.send_until_answered(labels[name])
        for _ in range(8):
            last = {name: camera.send(1)[0] for name, camera in cameras.items()}
        for name, camera in cameras.items():
            label = wait_until(lambda n=name: by_stamp(labels[n]).get(last[n]), f"{name}'s last")
            assert iou(pixels(label), poster(camera.shifts[last[name]])) > 0.7
        assert planner.set_parameters({"cameras": ["right"]}).successful
        cameras["right"].send_until_answered(labels["right"])


def test_results_end_with_deactivate_and_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch) as planner:
        labels, camera = planner.outputs(), Camera(planner)
        camera.send_until_answered(labels)
        assert planner.change_state("deactivate")
        count = len(labels)
        assert planner.change_state("activate")
        assert len(labels) == count
        camera.send_until_answered(labels)


def test_diagnostics_have_the_age_of_what_the_model_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_node(monkeypatch) as planner:
        labels, camera = planner.outputs(), Camera(planner)
        camera.send_until_answered(labels)
        camera.send(20)
        status = planner.diagnosis(
            "camera", lambda s: "frames propagated (%)" in values(s), "propagation"
        )
        entries = values(status)
        assert 50 < float(entries["frames propagated (%)"]) <= 100
        assert float(entries["age of the inferred image (ms)"]) > 150
        assert float(entries["frame age (ms)"]) < float(entries["age of the inferred image (ms)"])
        assert {"segment (ms)", "motion (ms)", "carry (ms)"} <= entries.keys()


def test_without_propagation_diagnostics_do_not_mention_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with slow_node(monkeypatch, delay_s=0, propagation="off") as planner:
        planner.label_of(view(0))
        status = planner.diagnosis("camera", lambda s: values(s)["frames out"] == "1", "a result")
        assert not {"frames propagated (%)", "motion (ms)"} & values(status).keys()


class HangsOnSecond(FakeSegmenter):
    """Does not return from the second image of the camera until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.images = 0

    def segment(self, batch: Batch, encoded: Any) -> Any:
        if batch.images[0].shape == view(0).shape:
            self.images += 1
            assert self.images != 2 or self.go_on.wait(TIMEOUT_S)
        return super().segment(batch, encoded)


def test_results_are_carried_while_the_model_does_not_return_and_it_is_called_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = HangsOnSecond()
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", lambda: model)
    requested = {"classes": ["red"], "propagation": "flow", "model_timeout": 0.6}
    with running_node(requested) as planner:
        objects, camera = planner.outputs("objects"), Camera(planner)
        camera.send_until_answered(objects)
        first = ns(objects[0].inferred_stamp)

        def carried() -> int:
            return sum(ns(o.header.stamp) != ns(o.inferred_stamp) == first for o in objects)

        wait_until(lambda: camera.send(1) and carried() >= 6, "results without the model")
        wait_until(
            lambda: camera.send(1) and ns(objects[-1].inferred_stamp) > first, "a newer result"
        )
        planner.diagnosis_saying("model", "did not return within model_timeout")
        model.go_on.set()
