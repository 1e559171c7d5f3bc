"""Labelling recordings with topics of other programs, and recordings whose images cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_messages import START_NS, STEP_NS, STORE, image_message
from foreign_bags import FOREIGN, PAYLOAD, ForeignTopic, Message, write_mcap
from labelled_bags import image, messages, request
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
