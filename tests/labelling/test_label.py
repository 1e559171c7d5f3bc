# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The results of `zs-seg label`, compared with those of the pipeline that the node uses."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any

import labelled_bags
import numpy as np
import pytest
import yaml
from bag_messages import (
    HEIGHT,
    START_NS,
    STEP_NS,
    WIDTH,
    BagWriter,
    camera_info,
    compressed,
    image_message,
)
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.errors import BagError, LabellingError, VocabularyError
from zs_seg_ros.images.camera_info import intrinsics_from_info
from zs_seg_ros.images.compressed_images import image_from_compressed
from zs_seg_ros.images.message_images import depth_from_image, stamp_ns
from zs_seg_ros.labelling.messages import detected_objects, message_types
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.run import label, label_here
from zs_seg_ros.perception.masks import decode_runs
from zs_seg_ros.perception.pipeline import Pipeline
from zs_seg_ros.requested_outputs import RequestedOutputs
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.types import DepthImage, Frame, RgbImage, Scene
from zs_seg_ros.vocabulary.vocabulary import Exemplar, TargetClass, Vocabulary


def one_by_one(
    images: list[RgbImage],
    depths: list[DepthImage] | None = None,
    vocabulary: Vocabulary = labelled_bags.VOCABULARY,
) -> list[Scene]:
    """Process the images one by one in a pipeline, without batches, slices and files."""
    pipeline, segmenter = Pipeline(), FakeSegmenter()
    encoded, settings = segmenter.encode(vocabulary), labelled_bags.request(Path()).settings
    requested = RequestedOutputs(objects=True, surfaces=depths is not None)
    return [
        pipeline.process(
            [
                Frame(
                    "camera",
                    image,
                    START_NS + number * STEP_NS,
                    depth=None if depths is None else depths[number],
                    requested=requested,
                )
            ],
            segmenter,
            encoded,
            settings,
        )[0]
        for number, image in enumerate(images)
    ]


def x_y_z(message: Any) -> tuple[float, float, float]:
    return message.x, message.y, message.z


def assert_results_are(
    folder: Path, camera: str, scenes: list[Scene], positions: bool = False
) -> None:
    labels = labelled_bags.messages(folder, f"/zs_seg/{camera}/label")
    confidences = labelled_bags.messages(folder, f"/zs_seg/{camera}/confidence")
    objects = labelled_bags.messages(folder, f"/zs_seg/{camera}/objects")
    assert len(labels) == len(confidences) == len(objects) == len(scenes)
    track_id_of: dict[int, int] = {0: 0}
    for scene, one_label, confidence, detections in zip(
        scenes, labels, confidences, objects, strict=True
    ):
        assert (labelled_bags.pixels_of(one_label) == scene.segmentation.label).all()
        assert (labelled_bags.pixels_of(confidence) == scene.segmentation.confidence).all()
        assert len(detections.objects) == len(scene.objects)
        for message, detected in zip(detections.objects, scene.objects, strict=True):
            box = detected.box
            mask = decode_runs(message.counts, box.height, box.width)
            assert (mask == detected.mask).all()
            assert (message.roi.x_offset, message.roi.y_offset) == (box.left, box.top)
            assert message.class_id == detected.class_id and message.area == detected.area
            assert message.score == np.float32(detected.score)
            assert message.has_position == (detected.surface is not None) == positions
            if detected.surface is not None:
                assert x_y_z(message.position) == detected.surface.centre
                assert x_y_z(message.size) == detected.surface.size
            assert track_id_of.setdefault(detected.track_id, message.track_id) == message.track_id
    assert sorted(track_id_of.values()) == list(range(len(track_id_of)))
    assert len(track_id_of) > 2  # several objects were tracked


def test_results_equal_the_pipelines_identities_included(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag")
    assert not label(labelled_bags.request(tmp_path / "out", bag))
    scenes = one_by_one([labelled_bags.image(number) for number in range(40)])
    assert_results_are(tmp_path / "out", "camera", scenes)


def test_batches_and_slices_change_nothing(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", cameras=("left", "right"))
    for name, batch, frames in (("one", 1, 9), ("two", 4, 1000)):
        out = tmp_path / name / "out"
        label(labelled_bags.request(out, bag, batch=batch, frames_per_slice=frames))
    one, two = (tmp_path / name / "out" / "out.mcap" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_the_recording_is_copied_unchanged_with_results_just_after_their_images(
    tmp_path: Path,
) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", cameras=("left", "front/right"))
    label(labelled_bags.request(tmp_path / "out", bag))
    before, after = labelled_bags.content(bag), labelled_bags.content(tmp_path / "out")
    assert [m for m in after if not m[0].startswith("/zs_seg/")] == before
    assert [message[1] for message in after] == sorted(message[1] for message in after)
    for number, (topic, time_ns, _) in enumerate(after):
        if topic.endswith("/image_raw"):
            camera = topic.removesuffix("/image_raw")
            following = [(t, at) for t, at, _ in after[number + 1 : number + 4]]
            results = ("label", "confidence", "objects")
            assert following == [(f"/zs_seg{camera}/{name}", time_ns + 1) for name in results]


def test_results_carry_the_headers_of_their_images(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=10)
    label(labelled_bags.request(tmp_path / "out", bag))
    headers = [message.header for message in labelled_bags.messages(bag, "/camera/image_raw")]
    for result in ("label", "confidence", "objects"):
        messages = labelled_bags.messages(tmp_path / "out", f"/zs_seg/camera/{result}")
        assert [vars(m.header.stamp) for m in messages] == [vars(h.stamp) for h in headers]
        assert {m.header.frame_id for m in messages} == {"optical"}


def test_the_vocabulary_is_latched_and_is_the_first_message(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=5)
    vocabulary = Vocabulary().changed_to([TargetClass("duck", ("yellow duck",), 0.25)])
    label(labelled_bags.request(tmp_path / "out", bag, vocabulary=vocabulary))
    with Bag(tmp_path / "out") as out:
        first = next(out.messages())
        assert out.topics["/zs_seg/vocabulary"].latched
        content = first.content
    assert first.topic.name == "/zs_seg/vocabulary" and first.time_ns == START_NS
    [target] = content.classes
    assert (target.name, target.prompts, target.threshold) == ("duck", ["yellow duck"], 0.25)
    assert content.ids.tolist() == [1] and content.version == 1


def test_ids_above_254_make_16_bit_labels(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=3)
    vocabulary = Vocabulary().changed_to(
        [*(TargetClass(f"object {n}") for n in range(300)), TargetClass("red")]
    )
    label(labelled_bags.request(tmp_path / "out", bag, vocabulary=vocabulary))
    for message in labelled_bags.messages(tmp_path / "out", "/zs_seg/camera/label"):
        assert message.encoding == "mono16"
        assert labelled_bags.pixels_of(message).max() == vocabulary.ids[-1]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_compressed_images_are_read(tmp_path: Path, suffix: str) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(40):
            time_ns = START_NS + number * STEP_NS
            message = compressed(labelled_bags.image(number), time_ns, suffix)
            bag.write("/camera/image_raw/compressed", time_ns, message)
    label(labelled_bags.request(tmp_path / "out", tmp_path / "bag"))
    images = labelled_bags.messages(tmp_path / "bag", "/camera/image_raw/compressed")
    scenes = one_by_one([image_from_compressed(message) for message in images])
    assert_results_are(tmp_path / "out", "camera", scenes)


@pytest.mark.parametrize("storage_id", ["mcap", "sqlite3"])
@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_both_storages_are_read_and_written(
    tmp_path: Path, storage: StoragePlugin, storage_id: str
) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", storage=storage)
    label(labelled_bags.request(tmp_path / "out", bag, output_format=storage_id))
    assert (tmp_path / "out" / f"out.{'mcap' if storage_id == 'mcap' else 'db3'}").is_file()
    scenes = one_by_one([labelled_bags.image(number) for number in range(40)])
    assert_results_are(tmp_path / "out", "camera", scenes)


def without_definitions(folder: Path) -> Path:
    """Change a SQLite bag to what Humble records: without message definitions and hashes."""
    [file] = folder.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE topics SET type_description_hash = ''")
        database.execute("UPDATE schema SET schema_version = 3")
    database.close()
    metadata = yaml.safe_load((folder / "metadata.yaml").read_text())
    for topic in metadata["rosbag2_bagfile_information"]["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
    (folder / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return folder


@pytest.mark.parametrize("storage_id", ["mcap", "sqlite3"])
def test_messages_of_undefined_types_are_copied(tmp_path: Path, storage_id: str) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", storage=StoragePlugin.SQLITE3)
    without_definitions(bag)
    label(labelled_bags.request(tmp_path / "out", bag, output_format=storage_id))
    copied = [m for m in labelled_bags.content(tmp_path / "out") if not m[0].startswith("/zs_seg/")]
    assert copied == labelled_bags.content(bag)
    with Bag(tmp_path / "out") as out:
        assert out.topics["/strange"].message_type == labelled_bags.STRANGE_TYPE
    with AnyReader(
        [tmp_path / "out"]
    ) as reader:  # others, which compare the hashes, can read the copy
        assert "/strange" in reader.topics


def test_positions_equal_the_pipelines_across_slices(tmp_path: Path) -> None:
    depth_mm = np.full((HEIGHT, WIDTH), 1500, np.uint16)
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(40):
            time_ns = START_NS + number * STEP_NS
            image = image_message(labelled_bags.image(number), time_ns)
            depth = image_message(depth_mm + np.uint16(number), time_ns, "16UC1")
            bag.write("/camera/camera_info", time_ns, camera_info(time_ns))
            # Depth comes before or after its image.
            bag.write("/camera/depth/image_raw", time_ns + (10 if number % 3 else 9000), depth)
            bag.write("/camera/image_raw", time_ns + 500, image)
    label(labelled_bags.request(tmp_path / "out", tmp_path / "bag", depth=True))
    [intrinsics, *_] = map(
        intrinsics_from_info, labelled_bags.messages(tmp_path / "bag", "/camera/camera_info")
    )
    depths = [
        DepthImage(depth_from_image(message), intrinsics, stamp_ns(message.header.stamp))
        for message in labelled_bags.messages(tmp_path / "bag", "/camera/depth/image_raw")
    ]
    scenes = one_by_one([labelled_bags.image(number) for number in range(40)], depths)
    assert_results_are(tmp_path / "out", "camera", scenes, positions=True)


def test_several_recordings_become_a_folder_of_copies(tmp_path: Path) -> None:
    one = labelled_bags.small_bag(tmp_path / "one" / "run", frames=12)
    two = labelled_bags.small_bag(tmp_path / "two" / "run", frames=20, cameras=("left", "right"))
    three = labelled_bags.small_bag(tmp_path / "run_2", frames=3)
    label(labelled_bags.request(tmp_path / "out", one, three, two))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["run", "run_2", "run_3"]
    for bag, name in ((one, "run"), (three, "run_2"), (two, "run_3")):
        alone = tmp_path / "alone" / name
        label(labelled_bags.request(alone, bag))
        assert labelled_bags.content(alone) == labelled_bags.content(tmp_path / "out" / name)


def test_only_the_chosen_cameras_are_labelled(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=3, cameras=("left", "right", "rear"))
    label(labelled_bags.request(tmp_path / "out", bag, cameras=("/right/", "left")))
    with Bag(tmp_path / "out") as out:
        labels = {name for name in out.topics if name.endswith("/label")}
    assert labels == {"/zs_seg/left/label", "/zs_seg/right/label"}


def test_topics_of_depth_images_are_not_taken_for_cameras(tmp_path: Path) -> None:
    depth = np.full((HEIGHT, WIDTH), 1500, np.uint16)
    with BagWriter(tmp_path / "bag") as bag:
        for topic in ("/camera/depth/image_raw", "/aligned_depth_to_color/image_raw"):
            bag.write(topic, START_NS, image_message(depth, START_NS, "16UC1"))
        bag.write(
            "/camera/depth/image_raw/compressed",
            START_NS,
            compressed(labelled_bags.image(0), START_NS, ".png"),
        )
        bag.write("/camera/image_raw", START_NS, image_message(labelled_bags.image(0), START_NS))
    label(labelled_bags.request(tmp_path / "out", tmp_path / "bag"))
    with Bag(tmp_path / "out") as out:
        assert {n for n in out.topics if n.endswith("/label")} == {"/zs_seg/camera/label"}


def test_results_that_a_recording_has_are_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=8)
    label(labelled_bags.request(tmp_path / "once", bag))
    label(labelled_bags.request(tmp_path / "twice", tmp_path / "once"))
    assert "earlier results" in (errors := capsys.readouterr().err)
    assert "are replaced: /zs_seg/camera/confidence" in errors
    assert labelled_bags.content(tmp_path / "twice") == labelled_bags.content(tmp_path / "once")


def test_unreadable_images_are_left_out_and_reported(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        for number in range(12):
            time_ns = START_NS + number * STEP_NS
            changes: dict[str, Any] = {"step": 7} if number % 4 == 1 else {}
            message = image_message(labelled_bags.image(number), time_ns, **changes)
            bag.write("/camera/image_raw", time_ns, message)
    problems = label(labelled_bags.request(tmp_path / "out", tmp_path / "bag"))
    [(sentence, times)] = problems.items()
    assert times == 3 and "its step of 7 bytes is less than a row of 192" in sentence
    labels = [
        t for topic, t, _ in labelled_bags.content(tmp_path / "out") if topic.endswith("/label")
    ]
    good = [number for number in range(12) if number % 4 != 1]
    assert labels == [START_NS + number * STEP_NS + 1 for number in good]


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def peak(frames: int) -> int:
        bag = labelled_bags.small_bag(tmp_path / f"bag{frames}", frames, size=(120, 160))
        tracemalloc.start()
        label(labelled_bags.request(tmp_path / f"out{frames}", bag, frames_per_slice=40))
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(20)  # modules and caches
    assert peak(400) < peak(40) + 3 * 2**20  # the images alone are 23 MB


def stop_after_the_slices(request: LabelRequest) -> None:
    class StopError(Exception):
        pass

    def label_and_stop(*arguments: Any) -> None:
        label_here(*arguments)
        raise StopError

    with pytest.raises(StopError):
        label(request, label_and_stop)


def test_a_removed_part_is_labelled_again(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag")
    request = labelled_bags.request(tmp_path / "out", bag)
    stop_after_the_slices(request)
    shutil.rmtree(tmp_path / "out.partial" / "slices" / "out" / "000002")
    label(request)
    label(labelled_bags.request(tmp_path / "alone", bag))
    assert labelled_bags.content(tmp_path / "out") == labelled_bags.content(tmp_path / "alone")


# --- errors ---


def refused(*arguments: Any, **changes: Any) -> str:
    with pytest.raises((LabellingError, BagError, VocabularyError)) as caught:
        label(labelled_bags.request(*arguments, **changes))
    return str(caught.value)


def test_a_missing_camera_is_reported_with_the_topics_of_the_bag(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=2)
    text = refused(tmp_path / "out", bag, cameras=("rear",))
    assert "/rear/image_raw" in text and "/camera/image_raw (sensor_msgs/msg/Image)" in text
    text = refused(tmp_path / "out", bag, depth=True)
    assert "no depth of the camera 'camera'" in text and "/camera/depth/image_raw" in text
    assert not list(tmp_path.glob("out*"))


def test_a_recording_without_images_is_refused(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.write("/strange", START_NS, labelled_bags.strange(1))
    text = refused(tmp_path / "out", tmp_path / "bag")
    assert "CAM/image_raw" in text and "/strange (elsewhere_msgs/msg/Strange)" in text


def test_out_is_never_overwritten(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=2)
    (tmp_path / "out").mkdir()
    assert "exists already" in refused(tmp_path / "out", bag)
    assert "exists already" in refused(bag, bag)
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(tmp_path / "file" / "out", bag)


def _damage(bag: Path) -> None:
    [file] = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200_000] = bytes(200_000)
    file.write_bytes(data)


def test_a_damaged_database_is_refused_and_leaves_no_result(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", size=(120, 160), storage=StoragePlugin.SQLITE3)
    _damage(bag)
    assert "cannot be read: database disk image is malformed" in refused(tmp_path / "out", bag)
    assert not (tmp_path / "out").exists()


def test_damaged_chunks_are_left_out_and_the_rest_is_labelled(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", size=(120, 160))
    _damage(bag)
    problems = label(labelled_bags.request(tmp_path / "out", bag))
    kept = labelled_bags.content(bag)
    assert 0 < len(kept) < 80
    copied = labelled_bags.content(tmp_path / "out")
    assert [m for m in copied if not m[0].startswith("/zs_seg")] == kept
    images = [time_ns for topic, time_ns, _ in kept if topic == "/camera/image_raw"]
    labels = [time_ns for topic, time_ns, _ in copied if topic == "/zs_seg/camera/label"]
    assert labels == [time_ns + 1 for time_ns in images]
    warnings = [*problems, *capfd.readouterr().err.splitlines()]
    assert sum("is damaged: the chunk at byte" in warning for warning in warnings) == 1


def test_the_message_types_include_all_of_msg() -> None:
    source = Path(__file__).parents[2] / "msg"
    for file in source.glob("*.msg"):
        assert f"zs_seg_ros/msg/{file.stem}" in message_types().fielddefs


def test_objects_are_read_back_unchanged(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=2)
    label(labelled_bags.request(tmp_path / "out", bag))
    [first, _] = labelled_bags.messages(tmp_path / "out", "/zs_seg/camera/objects")
    [scene] = one_by_one([labelled_bags.image(0)])
    for read, detected in zip(detected_objects(first.objects), scene.objects, strict=True):
        assert read.box == detected.box and (read.mask == detected.mask).all()


def test_a_run_is_not_continued_with_a_recording_that_has_changed(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=5)
    stop_after_the_slices(labelled_bags.request(tmp_path / "out", bag))
    shutil.rmtree(bag)
    labelled_bags.small_bag(bag, frames=6)
    vocabulary = Vocabulary().changed_to([TargetClass("green")])
    text = refused(tmp_path / "out", bag, vocabulary=vocabulary)
    assert "other recordings, --classes" in text


def test_a_run_that_finished_nothing_leaves_nothing(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=5)
    image = Exemplar(np.zeros((4, 4, 3), np.uint8))
    vocabulary = Vocabulary().changed_to([TargetClass("red", exemplars=(image,))])
    assert "example images" in refused(tmp_path / "out", bag, vocabulary=vocabulary)
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


def test_damaged_results_of_an_earlier_run_are_reported(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag")
    stop_after_the_slices(labelled_bags.request(tmp_path / "out", bag))
    part = tmp_path / "out.partial" / "slices" / "out" / "000002"
    [file] = part.glob("*.mcap")
    file.write_bytes(file.read_bytes()[:-100])
    assert f"the results in {part} are damaged" in refused(tmp_path / "out", bag)
    shutil.rmtree(part)
    label(labelled_bags.request(tmp_path / "out", bag))
    assert (tmp_path / "out").is_dir()


def test_a_recording_without_a_single_image_is_refused(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=1, cameras=())
    metadata = yaml.safe_load((bag / "metadata.yaml").read_text())
    topics = metadata["rosbag2_bagfile_information"]["topics_with_message_count"]
    images = {"name": "/camera/image_raw", "type": "sensor_msgs/msg/Image"}
    topics.append({"topic_metadata": topics[0]["topic_metadata"] | images, "message_count": 3})
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    assert "no images on" in refused(tmp_path / "out", bag)
