# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`~/enable`: results stop and go on, while the model stays loaded."""

from __future__ import annotations

from planner import Planner, image_message, running_node, stripes, values, wait_until
from std_srvs.srv import SetBool

IMAGE = stripes("red", "blue")


def enable(planner: Planner, on: bool) -> SetBool.Response:
    return planner.call(SetBool, "enable", SetBool.Request(data=on))


def test_results_stop_and_go_on_with_the_same_model() -> None:
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        planner.label_of(IMAGE)
        answer = enable(planner, False)
        assert (answer.success, answer.message) == (
            True,
            "results are off; the model stays loaded",
        )
        status = planner.diagnosis_saying("model", "switched off by ~/enable", "{data: true}")
        assert values(status)["model"] == "fake" and status.level == status.OK
        assert planner.get_vocabulary().version == 1
        assert enable(planner, True).success
        frame = image_message(IMAGE)

        def answered() -> bool:
            planner.send(frame)
            return any(label.header.stamp == frame.header.stamp for label in labels)

        wait_until(answered, "a result")
        planner.diagnosis("model", lambda s: "switched off" not in s.message, "results that are on")


def test_images_that_are_published_meanwhile_are_never_answered() -> None:
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        planner.label_of(IMAGE)
        enable(planner, False)
        publisher = planner.node.create_publisher(type(labels[0]), "/camera/image_raw", 10)
        unanswered = [image_message(IMAGE) for _ in range(5)]
        for message in unanswered:
            publisher.publish(message)
        planner.diagnosis_saying("model", "switched off")
        enable(planner, True)
        wait_until(lambda: planner.label_of(IMAGE) is not None, "a result")
        answered = {label.header.stamp.nanosec for label in labels}
        assert not answered & {message.header.stamp.nanosec for message in unanswered}


def test_a_second_call_changes_nothing_and_says_so() -> None:
    with running_node({"classes": ["red"]}) as planner:
        assert enable(planner, True).message == "results are already switched on"
        planner.label_of(IMAGE)
        enable(planner, False)
        again = enable(planner, False)
        assert again.success and again.message == "results are already off; the model stays loaded"


def test_every_state_of_the_lifecycle_has_a_sentence() -> None:
    with running_node({"classes": ["red"]}, state="unconfigured") as planner:
        answer = enable(planner, False)
        assert answer.success
        assert answer.message == (
            "results are off; the node is unconfigured, and they stay off once it is active"
        )
        assert planner.change_state("configure")
        assert "the node is inactive, and they stay off" in enable(planner, False).message
        assert planner.change_state("activate")
        planner.diagnosis_saying("model", "switched off by ~/enable")
        assert planner.change_state("deactivate")
        assert enable(planner, True).message == (
            "results are switched on; the node is inactive, and they come once it is active"
        )
        assert planner.change_state("activate")
        planner.label_of(IMAGE)
        assert planner.change_state("shutdown")
        answer = enable(planner, False)
        assert not answer.success and "shut down" in answer.message


def test_a_camera_that_is_added_while_results_are_off_publishes_none() -> None:
    with running_node({"cameras": ["front"], "classes": ["red"]}) as planner:
        enable(planner, False)
        assert planner.set_parameters({"cameras": ["front", "rear"]}).successful
        planner.diagnosis("rear", lambda status: True, "anything")
        labels = planner.outputs(camera="rear")
        publisher = planner.node.create_publisher(type(image_message(IMAGE)), "/rear/image_raw", 10)
        publisher.publish(image_message(IMAGE))
        planner.diagnosis_saying("model", "switched off")
        assert labels == []
