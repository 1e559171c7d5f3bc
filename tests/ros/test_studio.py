# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The studio beside a running node, over DDS: frames, the vocabulary, and subscriptions only while a page looks."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from faded_truth import write_truth
from killed_processes import kill
from planner import (
    Planner,
    image_message,
    repeating,
    running_node,
    stamp,
    stripes,
    values,
    wait_until,
)
from rclpy.serialization import serialize_message
from studio_clients import Page, free_port, get, page
from studio_node import running_studio
from test_process import node_process

from zs_seg_ros.msg import ObjectMaskArray
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.ros.studio.camera_feed import CameraFeed
from zs_seg_ros.ros.studio.remote_node import RemoteCamera
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.frames import ShownFrame

IMAGE = stripes("red", "blue")


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    with running_node({"classes": ["red"], "cameras": ["camera", "rear"]}) as planner:
        yield planner


@pytest.fixture(scope="module")
def access(planner: Planner) -> Iterator[Access]:
    with running_studio() as access:
        yield access


@contextmanager
def camera(planner: Planner, name: str = "camera", image: Any = IMAGE) -> Iterator[None]:
    """A camera that publishes, whether or not it is subscribed to."""
    publisher = planner.node.create_publisher(type(image_message(image)), f"/{name}/image_raw", 10)
    try:
        with repeating(lambda: publisher.publish(image_message(image)), 20):
            yield
    finally:
        planner.node.destroy_publisher(publisher)


def looking(own: Page, *cameras: str, **options: Any) -> None:
    own.wait_for("status", lambda status: set(cameras) <= set(status["cameras"]))
    own.ask("look", cameras=list(cameras), **options)


def frame(own: Page, where: Any, count: int = 500) -> Any:
    """The next frame that fulfils a condition, of at most so many."""
    for _ in range(count):
        header, parts = own.wait_for("frame")
        if where(header):
            return header, parts
        own.tell("ready", camera=header["camera"])
    raise AssertionError(f"none of {count} frames fulfilled the condition")


def names_in(header: Any) -> list[str]:
    return [each["name"] for each in header["objects"]]


def names_of(vocabulary: Any) -> list[str]:
    return [each["name"] for each in vocabulary["classes"]]


def frame_with_results(own: Page, where: Any = lambda _: True) -> Any:
    return frame(own, lambda header: header["version"] and where(header))


def test_a_page_sees_each_result_on_the_image_of_its_stamp(
    planner: Planner, access: Access
) -> None:
    planner.set_vocabulary("red")
    with camera(planner), page(access) as own:
        looking(own, "camera", confidence=True)
        header, parts = frame_with_results(own, lambda header: header["objects"])
    [red] = header["objects"]
    left, top, width, height = red["box"]
    assert (red["name"], [left, top, width, height]) == ("red", [0, 0, 16, 24])
    runs = np.frombuffer(parts["runs"], "<u4")
    assert decode_runs(runs, height, width).all()
    image = cv2.imdecode(np.frombuffer(parts["image"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape == IMAGE.shape
    assert np.abs(image[12, 4].astype(int) - IMAGE[12, 4]).max() < 30
    assert header["age_ms"] is not None


def test_confidence_comes_with_the_frame_where_a_page_shows_it(
    planner: Planner, access: Access
) -> None:
    planner.set_vocabulary("red")
    with camera(planner), page(access) as own:
        looking(own, "camera", confidence=True)
        while True:
            _, parts = frame_with_results(own)
            if "confidence" in parts:
                break
            own.tell("ready", camera="camera")
    confidence = cv2.imdecode(np.frombuffer(parts["confidence"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert confidence.shape == IMAGE.shape[:2]
    assert (confidence[:, :16] == 255).all() and (confidence[:, 16:] == 0).all()


def test_images_are_shown_without_a_vocabulary(planner: Planner, access: Access) -> None:
    planner.set_vocabulary()
    with camera(planner), page(access) as own:
        looking(own, "camera")
        header, _ = frame(own, lambda header: not header["objects"])
    assert (header["width"], header["height"]) == (32, 24)


def test_a_page_changes_the_vocabulary_of_the_node_and_sees_its_warnings(
    planner: Planner, access: Access
) -> None:
    planner.set_vocabulary("red")
    with page(access) as own:
        own.wait_for("vocabulary", lambda v: [c["name"] for c in v["classes"]] == ["red"])
        base = own.ask("set_vocabulary", base=0, classes=[])["vocabulary"]["edition"]
        classes = [{"name": "blue", "threshold": 0.5}, {"name": "unicorn"}]
        assert not own.ask("set_vocabulary", base=base, classes=classes)["conflict"]
        seen, _ = own.wait_for("vocabulary", lambda v: v["by_studio"])
    assert [each["name"] for each in seen["classes"]] == ["blue", "unicorn"]
    [warning] = seen["warnings"]
    assert warning["classes"] == ["unicorn"] and "has no colour word" in warning["text"]
    in_force = planner.get_vocabulary()
    assert [each.name for each in in_force.classes] == ["blue", "unicorn"]
    assert in_force.classes[0].threshold == 0.5


def test_a_change_by_a_planner_is_seen_at_once(planner: Planner, access: Access) -> None:
    with page(access) as own:
        own.wait_for("vocabulary")
        planner.set_vocabulary("green")
        seen, _ = own.wait_for(
            "vocabulary", lambda v: [c["name"] for c in v["classes"]] == ["green"]
        )
        assert not seen["by_studio"]


def test_a_refusal_of_the_node_is_shown(planner: Planner, access: Access) -> None:
    planner.set_vocabulary("red")
    with page(access) as own:
        own.wait_for("vocabulary", lambda v: names_of(v) == ["red"])
        base = own.ask("set_vocabulary", base=0, classes=[])["vocabulary"]["edition"]
        answer = own.ask("set_vocabulary", base=base, classes=[{"name": "a"}, {"name": "a"}])
    assert answer["error"] == "the name 'a' occurs twice; give each class a name of its own"


def test_state_and_diagnostics_are_shown(planner: Planner, access: Access) -> None:
    with page(access) as own:
        status, _ = own.wait_for("status", lambda status: status["entries"])
    assert (status["title"], status["state"], status["problem"]) == ("/zs_seg", "active", "")
    assert status["cameras"] == ["camera", "rear"]
    entries = {entry["name"]: entry for entry in status["entries"]}
    assert "stand-in for tests" in entries["/zs_seg: model"]["message"]


def test_images_are_let_go_once_results_of_later_ones_are_there(planner: Planner) -> None:
    frames: list[ShownFrame] = []
    remote = RemoteCamera("camera", "/camera/image_raw", "raw")
    feed = CameraFeed(planner.node, "/zs_seg", remote, frames.append)
    message = image_message(IMAGE)
    for number in range(100):
        stamp(message, number * 10**9)
        feed._on_image(serialize_message(message))
    assert len(feed._images) == 60  # without results: the newest ones
    results = ObjectMaskArray()
    stamp(results, 90 * 10**9)
    feed._on_objects(results)
    assert frames[-1].stamp_ns == 90 * 10**9
    assert [stamp // 10**9 for stamp in feed._images] == [*range(90, 100)]
    feed.stop()


def test_the_nodes_model_is_evaluated_and_a_replay_test_refused(
    planner: Planner, tmp_path: Path
) -> None:
    labelled = write_truth(tmp_path / "truth", 3)
    with running_studio(labelled=labelled) as access, page(access) as own:
        own.wait_for("status", lambda status: status["cameras"])
        own.ask("evaluate", classes=[{"name": "red"}, {"name": "blue"}])
        done, _ = own.wait_for("job", lambda job: job["state"] != "running")
        assert done["state"] == "done", done["text"]
        assert (done["result"]["model"], done["result"]["images"]) == ("fake", 3)
        fields = {"camera": "camera", "first": 0, "last": 1, "name": "x"}
        assert "this node is live" in own.ask("replay_test", **fields)["error"]


def test_a_dropped_16_bit_image_is_segmented_by_the_node(planner: Planner, access: Access) -> None:
    planner.set_vocabulary("white")
    file = io.BytesIO()
    grey = np.zeros((24, 32), np.uint16)
    grey[:, :16] = 65535
    PIL.Image.fromarray(grey).save(file, "PNG")
    with page(access) as own:
        own.wait_for("vocabulary", lambda v: names_of(v) == ["white"])
        camera = own.ask("drop", {"file": file.getvalue()}, name="grey.png")["camera"]
        own.ask("look", cameras=[camera])
        header, _ = frame_with_results(own)
        own.ask("clear_dropped")
    assert [(each["name"], each["box"]) for each in header["objects"]] == [
        ("white", [0, 0, 16, 24])
    ]


def subscribers(planner: Planner, topic: str) -> set[str]:
    return {each.node_name for each in planner.node.get_subscriptions_info_by_topic(topic)}


def test_nothing_is_subscribed_to_while_no_page_looks(planner: Planner, access: Access) -> None:
    topics = ("/camera/image_raw", "/zs_seg/camera/objects", "/zs_seg/vocabulary", "/diagnostics")

    def subscribed() -> set[str]:
        return {topic for topic in topics if "studio" in subscribers(planner, topic)}

    with page(access) as own:
        looking(own, "camera")
        wait_until(lambda: subscribed() == set(topics), "all subscriptions")
        own.ask("look", cameras=[])
        wait_until(lambda: subscribed() == set(topics[2:]), "the camera to be left")
    wait_until(lambda: not subscribed(), "the last subscription to end")


def test_a_camera_that_is_looked_at_alone_is_subscribed_to_alone(
    planner: Planner, access: Access
) -> None:
    planner.set_vocabulary("red")
    with camera(planner, "rear"), page(access) as own:
        looking(own, "rear")
        assert frame_with_results(own)[0]["camera"] == "rear"
        assert "studio" not in subscribers(planner, "/zs_seg/camera/objects")


def test_without_the_node_the_page_says_what_to_do() -> None:
    with running_studio("/nowhere") as access, page(access) as own:
        status, _ = own.wait_for("status", lambda status: status["problem"])
        assert status["problem"].startswith("there is no node /nowhere: start it with")
        answer = own.ask("set_vocabulary", base=None, classes=[])
        assert "the node /nowhere is not there" in answer["error"]


def test_a_damaged_image_is_reported_and_the_next_one_is_shown(
    planner: Planner, access: Access
) -> None:
    planner.set_vocabulary("red")
    damaged = image_message(IMAGE)
    damaged.data = damaged.data[:100]
    with page(access) as own:
        looking(own, "camera")
        publisher = planner.node.create_publisher(type(damaged), "/camera/image_raw", 10)

        def publish() -> None:
            stamp(damaged, image_message(IMAGE).header.stamp.sec * 10**9)
            publisher.publish(damaged)

        with repeating(publish, 20):
            own.wait_for("status", lambda status: "publisher truncates it" in status["problem"])
        planner.node.destroy_publisher(publisher)
        with camera(planner):
            frame_with_results(own)


def test_a_node_that_dies_is_reported_and_one_that_takes_its_name_is_shown() -> None:
    of = "mortal"
    observer = Planner(of=of)
    try:
        with running_studio(f"/{of}") as access, camera(observer), page(access) as own:
            with node_process("-p", "classes:=[red]", name=of) as process:
                looking(own, "camera")
                assert frame_with_results(own)[0]["version"] == 1
                kill(process)
                own.wait_for("status", lambda status: status["problem"])
            with node_process("-p", "classes:=[blue]", name=of):
                own.wait_for("status", lambda status: not status["problem"])
                own.tell("ready", camera="camera")
                header, _ = frame_with_results(own, lambda header: names_in(header) == ["blue"])
                seen, _ = own.wait_for("vocabulary", lambda v: names_of(v) == ["blue"])
                assert seen["version"] == header["version"]
    finally:
        observer.close()


def test_ten_slow_pages_do_not_slow_the_node_down(planner: Planner, access: Access) -> None:
    planner.set_vocabulary("red")
    with camera(planner), page(access) as own, ExitStack() as slow:
        for _ in range(10):
            reads_nothing = slow.enter_context(page(access))
            reads_nothing.tell("look", cameras=["camera"], id=1)
        looking(own, "camera")
        stamps = set()
        while len(stamps) < 30:
            header, _ = frame_with_results(own)
            stamps.add(header["stamp"])
            own.tell("ready", camera="camera")
        status = planner.diagnosis("camera", lambda status: status.name, "the camera's entry")
    assert values(status)["frames failed"] == "0"


def test_the_executable_serves_the_page_and_ends_on_a_signal() -> None:
    port = free_port()
    process = subprocess.Popen(
        ["studio", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:

        def status() -> int:
            try:
                return get(Access("127.0.0.1", port)).status
            except OSError:
                return 0

        assert wait_until(status, "the page") == 200
        process.terminate()
        output, _ = process.communicate(timeout=20)
    finally:
        kill(process)
        process.communicate()
    assert process.returncode == 0, output
    assert f"open http://127.0.0.1:{port}/ in a browser" in output


def test_the_executable_refuses_an_address_in_use_in_one_sentence(access: Access) -> None:
    command = ["studio", "--port", str(access.port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert result.stderr.startswith("studio: the address '127.0.0.1', port")
    assert "Traceback" not in result.stderr
