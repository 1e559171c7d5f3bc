# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""~/CAM/features and ~/embed: a map keeps vectors of objects, and is asked in words afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from planner import Planner, image_message, running_node, stripes, wait_until

from zs_seg_ros import msg, srv
from zs_seg_ros.bags.bag import Bag, shipped_bag

NAMES = ["red duck", "blue teddy bear", "green ball", "green cylinder", "orange cone"]


@pytest.fixture(scope="module")
def planner() -> Iterator[Planner]:
    with running_node({"model": "tabletop", "classes": NAMES, "max_total_prompts": 20}) as planner:
        yield planner


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    with Bag(shipped_bag()) as bag:
        message = next(iter(bag.messages(["/camera/image_raw"]))).content
    return np.asarray(message.data).reshape(message.height, message.width, 3)


def embed(planner: Planner, **fields: Any) -> Any:
    return planner.call(srv.Embed, "embed", srv.Embed.Request(**fields))


def rows(message: Any) -> NDArray[np.float32]:
    return np.asarray(message.values, np.float32).reshape(-1, message.dimension)


# Before the first test that starts the node of this module: two nodes of one name would answer.
def test_a_model_without_a_shared_space_says_so() -> None:
    with running_node({"classes": ["red"]}) as planner:
        image = image_message(stripes("red", "white"))
        features = planner.answer_to(image, "features")
        assert (features.model, features.dimension, len(features.values)) == ("", 0, 0)
        assert list(features.class_ids) == [1]
        answer = embed(planner, prompts=["red"])
        assert not answer.success
        assert "fake has no shared space" in answer.message and "tabletop" in answer.message
        statuses = planner.listen("/diagnostics", DiagnosticArray, 10)
        text = "camera/features has subscribers and no vectors: the model fake has no shared space"
        wait_until(
            lambda: any(text in s.message for m in statuses for s in m.status), "the problem"
        )


def test_without_a_subscriber_no_features_are_computed(image: NDArray[np.uint8]) -> None:
    with running_node({"model": "tabletop", "classes": NAMES}) as planner:
        statuses = planner.listen("/diagnostics", DiagnosticArray, 10)
        planner.answer_to(image_message(image), "objects")

        def stages() -> set[str]:
            values = [v for m in statuses for s in m.status for v in s.values]
            return {v.key for v in values}

        wait_until(lambda: any("objects" in key for key in stages()), "durations of stages")
        assert not [key for key in stages() if "features" in key]
        planner.answer_to(image_message(image), "features")
        wait_until(lambda: any("features" in key for key in stages()), "the stage features")


def test_a_map_of_vectors_is_asked_in_words(planner: Planner, image: NDArray[np.uint8]) -> None:
    planner.outputs("objects")
    features = planner.answer_to(image_message(image), "features")
    objects = planner.output_with_stamp_of(features, planner.outputs("objects"))
    assert features.header == objects.header
    assert (features.model, features.dimension) == ("tabletop", 64)
    assert list(features.class_ids) == [o.class_id for o in objects.objects]
    assert list(features.track_ids) == [o.track_id for o in objects.objects]
    vectors = rows(features)
    assert len(vectors) == len(objects.objects) >= 2
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    answer = embed(planner, prompts=NAMES)
    assert answer.success and answer.message == "" and answer.model == features.model
    similarity = vectors @ rows(answer).T
    nearest = [NAMES[i] for i in similarity.argmax(axis=1)]
    sure = [i for i, detected in enumerate(objects.objects) if detected.score > 0.6]
    assert sure
    assert [nearest[i] for i in sure] == [objects.objects[i].class_name for i in sure]


def test_the_part_of_an_image_under_a_mask_has_the_vector_of_the_object(
    planner: Planner, image: NDArray[np.uint8]
) -> None:
    planner.outputs("objects")
    features = planner.answer_to(image_message(image), "features")
    objects = planner.output_with_stamp_of(features, planner.outputs("objects")).objects
    roi = objects[0].roi
    mask = np.zeros(image.shape[:2], np.uint8)
    runs = np.asarray(objects[0].counts)
    box = np.repeat(np.arange(len(runs)) % 2 * 255, runs).reshape(roi.height, roi.width)
    mask[roi.y_offset :, roi.x_offset :][: roi.height, : roi.width] = box
    answer = embed(
        planner,
        prompts=["star"],
        image=image_message(image),
        mask=image_message(mask, "mono8"),
    )
    assert answer.success and rows(answer).shape == (2, 64)
    assert rows(answer)[1] == pytest.approx(rows(features)[0], abs=1e-4)


def test_an_image_without_objects_has_no_vectors(planner: Planner) -> None:
    features = planner.answer_to(image_message(np.full((48, 64, 3), 128, np.uint8)), "features")
    assert (features.model, features.dimension) == ("tabletop", 64)
    assert not features.class_ids and not features.track_ids and not features.values


def test_an_image_without_a_mask_is_embedded_whole(
    planner: Planner, image: NDArray[np.uint8]
) -> None:
    answer = embed(planner, image=image_message(image))
    assert answer.success and rows(answer).shape == (1, 64)
    assert np.linalg.norm(rows(answer)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "nothing to embed"),
        ({"prompts": ["mug", " "]}, "prompt 2 is empty"),
        ({"prompts": ["mug"] * 21}, "21 prompts are too many; at most 20"),
        ({"prompts": ["m" * 400]}, "prompt 1 has 400 characters"),
        ({"mask": image_message(np.ones((4, 4), np.uint8), "mono8")}, "mask without its image"),
        (
            {
                "image": image_message(stripes("red", height=4, width=4)),
                "mask": image_message(np.ones((5, 4), np.uint8), "mono8"),
            },
            "must be of one size",
        ),
        (
            {
                "image": image_message(stripes("red", height=4, width=4)),
                "mask": image_message(np.zeros((4, 4), np.uint8), "mono8"),
            },
            "mask is empty",
        ),
    ],
)
def test_refusals_say_why(planner: Planner, fields: dict[str, Any], reason: str) -> None:
    answer = embed(planner, **fields)
    assert not answer.success and reason in answer.message and not answer.values


def test_the_message_is_made_of_standard_fields() -> None:
    assert msg.ObjectFeatures.get_fields_and_field_types() == {
        "header": "std_msgs/Header",
        "model": "string",
        "dimension": "uint32",
        "class_ids": "sequence<uint16>",
        "track_ids": "sequence<uint32>",
        "values": "sequence<float>",
    }
