# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""What pages receive and change: the newest frames at their own pace, the vocabulary in force, answers."""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from studio_clients import RED, Page, StandIn, page, wait_until
from websockets.exceptions import ConnectionClosed

from zs_seg_ros.errors import StudioError
from zs_seg_ros.studio import client
from zs_seg_ros.studio.client import FRAMES_UNDER_WAY
from zs_seg_ros.studio.frames import ShownFrame
from zs_seg_ros.studio.hub import MOST_CLIENTS
from zs_seg_ros.studio.packet import MOST_TEXT_BYTES
from zs_seg_ros.studio.server import MOST_MESSAGE_BYTES, StudioServer
from zs_seg_ros.studio.source import Changed, Status
from zs_seg_ros.vocabulary.vocabulary import TargetClass


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def names(vocabulary: dict[str, Any]) -> list[str]:
    return [each["name"] for each in vocabulary["classes"]]


def looks(own: Page, source: StandIn, confidence: bool = False) -> None:
    assert own.ask("look", cameras=["camera"], confidence=confidence) == {"is": "answer", "to": 1}
    wait_until(lambda: "camera" in source.watched.cameras, "the camera to be watched")


# --- frames ---


def test_a_page_that_looks_gets_image_and_masks(studio: StudioServer, source: StandIn) -> None:
    with page(studio.access) as own:
        looks(own, source)
        source.show(12_345_678_901_234_567_890 % 2**63)
        header, parts = own.wait_for("frame")
    assert header["stamp"] == str(12_345_678_901_234_567_890 % 2**63)
    assert (header["width"], header["height"], header["version"]) == (32, 24, 1)
    [mug] = header["objects"]
    assert (mug["name"], mug["box"], mug["area"]) == ("red mug", [16, 0, 16, 24], 16 * 24)
    assert np.frombuffer(parts["runs"], "<u4").tolist() == [0, 16 * 24]
    image = cv2.imdecode(np.frombuffer(parts["image"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(image.astype(int) - RED).max() < 8


def test_the_next_frame_is_the_newest_one_when_the_page_is_ready(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        looks(own, source)
        for stamp in range(1, 1 + FRAMES_UNDER_WAY):
            source.show(stamp)
            assert own.wait_for("frame")[0]["stamp"] == str(stamp)
        for stamp in range(10, 100):
            source.show(stamp)
        own.tell("ready", camera="camera")
        assert own.wait_for("frame")[0]["stamp"] == "99"


def test_more_answers_than_images_do_not_let_more_be_under_way(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        looks(own, source)
        for _ in range(10):
            own.tell("ready", camera="camera")
        own.ask("presets")  # answered after them
        for stamp in range(1, 1 + FRAMES_UNDER_WAY):
            source.show(stamp)
            assert own.wait_for("frame")[0]["stamp"] == str(stamp)
        source.show(9)
        for _ in range(5):
            own.ask("presets")
        assert [header for header, _ in own.received if header["is"] == "frame"] == []


def test_a_page_that_leaves_a_camera_while_another_ones_image_is_sent_goes_on(
    studio: StudioServer, source: StandIn
) -> None:
    large = np.random.default_rng(1).integers(0, 255, (1000, 1000, 3), np.uint8)
    with page(studio.access) as own:
        for _ in range(10):
            own.ask("look", cameras=["a", "b", "c"])
            wait_until(lambda: source.watched.cameras == {"a", "b", "c"}, "the cameras")
            for name in "abc":
                source.show(1, large, name)
            own.tell("look", cameras=["a"], id=0)
            own.tell("look", cameras=[], id=0)
        own.ask("look", cameras=["a"])
        source.show(2, large, "a")
        own.wait_for("frame", lambda header: (header["camera"], header["stamp"]) == ("a", "2"))


def test_a_page_that_reads_nothing_holds_up_no_other(studio: StudioServer, source: StandIn) -> None:
    large = np.random.default_rng(1).integers(0, 255, (1000, 1000, 3), np.uint8)
    with page(studio.access) as slow, page(studio.access) as own:
        looks(own, source)
        slow.tell("look", cameras=["camera"], id=1)
        for stamp in range(1, 20):
            slow.tell("ready", camera="camera")
            source.show(stamp, large)
            assert own.wait_for("frame")[0]["stamp"] == str(stamp)
            own.tell("ready", camera="camera")


def test_what_pages_that_read_nothing_hold_is_bounded(
    studio: StudioServer, source: StandIn
) -> None:
    """Of each camera a page holds the frames that are under way; the newest one is the same for all pages."""
    pages, shown = 10, 300
    frames: list[weakref.ref[ShownFrame]] = []
    pixels = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)  # large as JPEG
    with ExitStack() as slow, page(studio.access) as own:
        for _ in range(pages):
            reads_nothing = slow.enter_context(page(studio.access))
            reads_nothing.tell("look", cameras=["camera"], id=1)
        looks(own, source)
        offer = source.events.frame

        def counted(frame: ShownFrame) -> None:
            frames.append(weakref.ref(frame))
            offer(frame)

        source.events = replace(source.events, frame=counted)
        for stamp in range(1, shown):
            source.show(stamp, pixels)
            if stamp % 10 == 0:  # pages that ask for more than they read
                own.wait_for("frame")
                own.tell("ready", camera="camera")
        own.wait_for("frame", lambda header: header["stamp"] == str(shown - 1))
        alive = sum(frame() is not None for frame in frames)
        assert len(frames) == shown - 1 and alive <= FRAMES_UNDER_WAY * pages + 4, (
            f"{alive} frames are held"
        )


def test_nothing_is_watched_while_no_page_looks(studio: StudioServer, source: StandIn) -> None:
    assert not source.watched.clients
    with page(studio.access) as own:
        looks(own, source, confidence=True)
        assert source.watched.confidence == {"camera"}
        own.ask("look", cameras=[])
        wait_until(lambda: not source.watched.cameras, "the camera to be left")
        assert source.watched.clients
    wait_until(lambda: not source.watched.clients, "the last page to leave")


def test_a_camera_that_pages_look_at_and_do_not_draw_is_not_watched(
    studio: StudioServer, source: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen tab or a machine asleep: the node has one subscriber less, and has it again when the page goes on."""
    monkeypatch.setattr(client, "STALLED_S", 0.0)
    with page(studio.access) as own:
        looks(own, source)
        for stamp in range(1, FRAMES_UNDER_WAY + 1):
            source.show(stamp)
            own.wait_for("frame")
        wait_until(lambda: not source.watched.cameras, "the camera to be left")
        assert source.watched.clients  # it still hears of the vocabulary
        own.tell("ready", camera="camera")
        wait_until(lambda: source.watched.cameras == {"camera"}, "the camera to be watched")
        source.show(9)
        assert own.wait_for("frame")[0]["stamp"] == "9"


def test_a_page_that_stalls_leaves_the_camera_of_another_one_watched(
    studio: StudioServer, source: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with page(studio.access) as stalled, page(studio.access) as own:
        stalled.ask("look", cameras=["camera"])
        looks(own, source)
        for stamp in range(1, FRAMES_UNDER_WAY + 1):
            source.show(stamp)
            own.wait_for("frame")
            own.tell("ready", camera="camera")
            stalled.wait_for("frame")
        monkeypatch.setattr(client, "STALLED_S", 0.0)
        own.ask("look", cameras=["camera", "other"])  # answered after the rest was processed
        wait_until(lambda: source.watched.cameras == {"camera", "other"}, "the other camera")


# --- the vocabulary ---


def test_a_page_sets_the_vocabulary_and_all_pages_see_it(
    studio: StudioServer, source: StandIn
) -> None:
    source.warnings = ("'blue cup' is a word that the model does not know",)
    with page(studio.access) as own, page(studio.access) as other:
        base = own.wait_for("vocabulary")[0]["edition"]
        classes = [entry("blue cup", prompts=["a cup"], threshold=0.25, negatives=["a jar"])]
        answer = own.ask("set_vocabulary", base=base, classes=classes)
        assert (answer["conflict"], answer["replaced_another"]) == (False, False)
        for each in (own, other):
            seen, _ = each.wait_for("vocabulary", lambda v: names(v) == ["blue cup"])
            assert (seen["version"], seen["by_studio"]) == (2, True)
            assert seen["warnings"] == [{"text": source.warnings[0], "classes": ["blue cup"]}]
    [blue] = source.vocabulary.classes
    assert (blue.prompts, blue.threshold, blue.negatives) == (("a cup",), 0.25, ("a jar",))


def test_a_change_by_another_client_is_seen_and_not_overwritten(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        source.set_by_another("green mug")
        seen, _ = own.wait_for("vocabulary", lambda v: names(v) == ["green mug"])
        answer = own.ask("set_vocabulary", base=base, classes=[entry("mine")])
        assert answer["conflict"] and names(answer["vocabulary"]) == ["green mug"]
        assert source.vocabulary.names == ("green mug",)
        assert not own.ask("set_vocabulary", base=seen["edition"], classes=[entry("mine")])[
            "conflict"
        ]
    assert source.vocabulary.names == ("mine",)


def test_a_change_between_check_and_call_is_reported_and_can_be_restored(
    studio: StudioServer, source: StandIn
) -> None:
    source.before_change = lambda: source.set_by_another("green mug")
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        assert own.ask("set_vocabulary", base=base, classes=[entry("mine")])["replaced_another"]
        source.before_change = lambda: None
        seen, _ = own.wait_for("vocabulary", lambda v: names(v) == ["mine"])
        lost = next(each for each in seen["history"] if each["names"] == ["green mug"])
        own.ask("restore", base=seen["edition"], edition=lost["edition"])
    assert source.vocabulary.names == ("green mug",)


def test_a_change_that_is_reported_before_its_answer_is_sent_once_with_its_warnings(
    studio: StudioServer, source: StandIn
) -> None:
    source.warnings = ("'mine' is a word that the model does not know",)
    change = source.change_vocabulary
    with page(studio.access) as own, page(studio.access) as other:
        base = own.wait_for("vocabulary")[0]["edition"]

        def reported_first(classes: Sequence[TargetClass]) -> Changed:
            changed = change(classes)
            source.events.vocabulary(changed.vocabulary)
            source.events.status(Status("/zs_seg", "reported", cameras=source.cameras))
            other.wait_for("status", lambda status: status["state"] == "reported")
            return changed

        source.change_vocabulary = reported_first  # type: ignore[method-assign]
        own.ask("set_vocabulary", base=base, classes=[entry("mine")])
        other.ask("presets")  # what was sent before its answer is there, too
    sent = [header for header, _ in other.received if header["is"] == "vocabulary"]
    assert [each["warnings"] != [] for each in sent if names(each) == ["mine"]] == [True]


def test_what_a_node_reports_while_a_change_has_no_answer_is_sent(
    studio: StudioServer, source: StandIn
) -> None:
    change = source.change_vocabulary

    def unanswered(classes: Sequence[TargetClass]) -> Changed:
        source.events.vocabulary(change(classes).vocabulary)
        raise StudioError("no answer")

    source.change_vocabulary = unanswered  # type: ignore[method-assign]
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        answer = own.ask("set_vocabulary", base=base, classes=[entry("mine")])
        assert answer["error"] == "no answer"
        own.wait_for("vocabulary", lambda v: names(v) == ["mine"])


def test_a_refused_vocabulary_is_answered_with_the_reason(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        answer = own.ask("set_vocabulary", base=base, classes=[entry("a"), entry("a")])
        assert answer["error"] == "the name 'a' occurs twice; give each class a name of its own"
    assert source.vocabulary.names == ("red mug",)


@pytest.mark.parametrize(
    "classes",
    [None, 7, {"name": "a"}, [7], [{}], [{"name": 7}], [entry("a", prompts="red")],
     [entry("a", threshold="x")], [entry("a", threshold=True)], [entry("a", id=-1)],
     [entry("a", id=1.5)], [entry("a", exemplars=[{"key": "unknown"}])], [entry("a", exemplars=[7])],
     [entry("a", threshold=float("nan"))], [entry("\x1b[31m")], [entry("x" * 10_000)]],
)  # fmt: skip
def test_wrong_classes_are_refused_in_one_sentence(
    studio: StudioServer, source: StandIn, classes: Any
) -> None:
    with page(studio.access) as own:
        base = own.wait_for("vocabulary")[0]["edition"]
        answer = own.ask("set_vocabulary", base=base, classes=classes)
        assert answer["error"] and "\n" not in answer["error"] and len(answer["error"]) < 600
        assert "the studio fails" not in answer["error"]
    assert source.vocabulary.version == 1


# --- hostile pages ---


@pytest.mark.parametrize(
    "message",
    ["", "no json", "[]", "[" * 100_000, '"x"', "{}", '{"do": 7}', '{"do": "__class__"}', b"",
     b"\xff\xff\xff\xff", b"\x02\x00\x00\x00{}", b'\x1a\x00\x00\x00{"parts": [["image", 999]]}',
     b'\x0d\x00\x00\x00{"parts": {}}'],
)  # fmt: skip
def test_a_damaged_message_is_answered_and_the_next_one_works(
    studio: StudioServer, source: StandIn, message: str | bytes
) -> None:
    with page(studio.access) as own:
        own.socket.send(message)
        answer, _ = own.wait_for("answer")
        assert "load the page again" in answer["error"] or "there is no request" in answer["error"]
        assert own.ask("look", cameras=[]) == {"is": "answer", "to": 1}


def test_a_text_of_many_bytes_is_refused(studio: StudioServer) -> None:
    with page(studio.access) as own:
        own.socket.send(json.dumps({"do": "look", "id": 1, "cameras": ["x" * MOST_TEXT_BYTES]}))
        answer, _ = own.wait_for("answer")
        assert f"at most {MOST_TEXT_BYTES} are read" in answer["error"]


def test_a_message_beyond_the_limit_ends_its_connection_alone(
    studio: StudioServer, source: StandIn
) -> None:
    with page(studio.access) as own:
        with page(studio.access) as hostile, suppress(ConnectionClosed):
            hostile.socket.send(b"x" * (MOST_MESSAGE_BYTES + 1))
            hostile.wait_for("answer")
            raise AssertionError("the message was read")
        looks(own, source)


def test_more_pages_than_the_limit_are_refused(studio: StudioServer) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_CLIENTS):
            stack.enter_context(page(studio.access)).wait_for("status")
        with page(studio.access) as late, pytest.raises(ConnectionClosed) as closed:
            late.next()
        assert "pages are open already" in str(closed.value)
