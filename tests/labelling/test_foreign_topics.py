# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Labelling recordings with topics of other programs, and recordings whose images cannot be read."""

from __future__ import annotations

from pathlib import Path

import mcap_files
import pytest
from bag_messages import START_NS, STEP_NS, STORE, image_message
from foreign_bags import FOREIGN, PAYLOAD, ForeignTopic, Message, write_mcap
from labelled_bags import image, messages, request
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from zs_seg_ros.bags.bag import Bag
from zs_seg_ros.cli.label import label_bags
from zs_seg_ros.errors import NoImagesError
from zs_seg_ros.labelling.run import label

_IMAGE = "sensor_msgs/msg/Image"
IMAGES = ForeignTopic(
    "/camera/image_raw",
    _IMAGE,
    STORE.generate_msgdef(_IMAGE, ros_version=2)[0].encode(),
    type_hash=STORE.hash_rihs01(_IMAGE),
)


def _image(number: int, encoding: str = "rgb8") -> Message:
    time_ns = START_NS + number * STEP_NS
    message = image_message(image(number), time_ns, encoding)
    return IMAGES, time_ns + 700, bytes(STORE.serialize_cdr(message, _IMAGE))


def foreign_bag(path: Path, encoding: str = "rgb8") -> Path:
    """Write ten images, and a message of each foreign topic before each image."""
    recorded: list[Message] = []
    for number in range(10):
        recorded += [(topic, START_NS + number * STEP_NS, PAYLOAD) for topic in FOREIGN]
        recorded.append(_image(number, encoding))
    return write_mcap(path, recorded)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_foreign_topics_are_copied_byte_for_byte_or_left_out_with_a_warning(
    tmp_path: Path, storage: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = foreign_bag(tmp_path / "bag.mcap")
    label(request(tmp_path / "out", bag, output_format=storage))
    with Bag(tmp_path / "out") as copy:
        for topic in FOREIGN:
            if topic.encoding != "cdr":
                assert topic.name not in copy.topics
                continue
            assert [m.serialised for m in copy.messages([topic.name])] == 10 * [PAYLOAD]
            (channel,) = (c for c in copy.channels if c.topic == topic.name)
            assert channel.type_hash == topic.type_hash
            assert topic.definition.decode() in channel.definition
    assert len(messages(tmp_path / "out", "/zs_seg/camera/label")) == 10
    with Reader(tmp_path / "out") as reader:
        assert reader.message_count == 10 * (len(FOREIGN) - 2) + 4 * 10 + 1
    warnings = capfd.readouterr().err
    for topic in FOREIGN:
        assert (f"{topic.name} is left out of the copy" in warnings) == (topic.encoding != "cdr")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("type_hash", ["", "RIHS01_" + 64 * "7"])
def test_a_copy_with_topics_without_definition_can_be_read_by_readers_that_compare_hashes(
    tmp_path: Path, storage: str, type_hash: str
) -> None:
    undefined = ForeignTopic("/undefined", "other_msgs/msg/Undefined", b"", "", type_hash)
    second = ForeignTopic("/second", "other_msgs/msg/Undefined", b"", "", type_hash)
    changed = ForeignTopic("/changed", "std_msgs/msg/String", b"", "", type_hash)
    recorded: list[Message] = [(topic, 7, PAYLOAD) for topic in (undefined, second, changed)]
    bag = write_mcap(tmp_path / "bag.mcap", [*recorded, *(_image(number) for number in range(3))])
    label(request(tmp_path / "out", bag, output_format=storage))
    with AnyReader([tmp_path / "out"]) as reader:
        read = [(c.topic, bytes(data)) for c, _, data in reader.messages()]
        kinds = {c.topic: c.msgtype for c in reader.connections}
    for topic in (undefined, second, changed):
        assert [data for name, data in read if name == topic.name] == [PAYLOAD]
        assert kinds[topic.name] == topic.kind
    assert len(read) == 3 + 3 + 3 * 3 + 1
    with Bag(tmp_path / "out") as copy:
        for channel in copy.channels:
            if type_hash and channel.topic in ("/undefined", "/second", "/changed"):
                assert channel.type_hash == type_hash
                assert channel.definition == ""


def test_attachments_that_a_copy_leaves_out_are_named_before_the_work_begins(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = write_mcap(tmp_path / "bag.mcap", [_image(number) for number in range(3)], indexed=False)
    whole, start = bag.read_bytes(), len(mcap_files.header())
    extra = mcap_files.attachment("calibration.yaml", b"k: 1") + mcap_files.metadata("robot")
    bag.write_bytes(mcap_files.header() + extra + whole[start:])
    label(request(tmp_path / "out", bag))
    warning = "without the attachment calibration.yaml, the metadata record robot"
    assert warning in capfd.readouterr().err
    label(request(tmp_path / "coco", bag, output_format="coco"))
    assert warning not in capfd.readouterr().err


def test_a_bag_without_a_readable_image_ends_with_1_and_the_reasons(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = request(tmp_path / "out", foreign_bag(tmp_path / "bag.mcap", "telepathy8"))
    assert label_bags(wrong, None) == 1
    error = capfd.readouterr().err
    assert "none of the 10 images of /camera/image_raw" in error
    assert "10 times: /camera/image_raw" in error
    assert "telepathy8" in error
    assert not (tmp_path / "out").exists()
    with pytest.raises(NoImagesError):
        label(wrong)


def test_a_cut_off_recording_is_labelled_up_to_the_cut(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bag = foreign_bag(tmp_path / "bag.mcap")
    whole = bag.read_bytes()
    bag.write_bytes(whole[: int(0.5 * len(whole))])
    label(request(tmp_path / "out", bag))
    assert 0 < len(messages(tmp_path / "out", "/zs_seg/camera/label")) < 10
    assert "is cut off or damaged after" in capfd.readouterr().err


def test_a_camera_with_other_topics_gets_its_results_under_the_name_that_is_given(
    tmp_path: Path,
) -> None:
    bag = foreign_bag(tmp_path / "bag.mcap")
    label(request(tmp_path / "out", bag, cameras=("front=/camera/image_raw",)))
    assert len(messages(tmp_path / "out", "/zs_seg/front/label")) == 10
