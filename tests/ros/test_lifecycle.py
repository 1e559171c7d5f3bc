# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Four symmetric steps: what each starts, what it stops, and what survives it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from planner import Planner, image_message, running_node, stripes, values, wait_until
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from sensor_msgs.msg import Image

IMAGE = stripes("red", "blue")
MISSING_MODEL = "nobody/no-such-model"


def test_a_lifecycle_manager_takes_the_node_up_and_down() -> None:
    with running_node({"autostart": False, "classes": ["red"]}, state="unconfigured") as planner:
        for _ in range(3):
            for transition, state in (
                ("configure", "inactive"),
                ("activate", "active"),
                ("deactivate", "inactive"),
                ("cleanup", "unconfigured"),
            ):
                assert planner.change_state(transition)
                assert planner.state == state
                if state == "active":
                    assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]
        assert planner.change_state("shutdown")
        assert planner.state == "finalized"


def test_autostart_reaches_active_by_itself() -> None:
    with running_node({"autostart": True}, state="") as planner:
        planner.wait_for_state("active")


def test_without_autostart_the_node_waits() -> None:
    with running_node({"autostart": False}, state="unconfigured") as planner:
        planner.diagnosis_saying("model", "not configured")
        assert planner.state == "unconfigured"


def test_simulated_time_that_stands_still_stops_nothing() -> None:
    with running_node({"use_sim_time": True, "classes": ["red"]}) as planner:
        assert planner.label_of(IMAGE).any()
        planner.diagnosis("model", lambda s: values(s)["state"] == "active", "the state")


def test_an_inactive_node_neither_answers_nor_complains() -> None:
    with running_node({"classes": ["red"]}, state="inactive") as planner:
        labels = planner.outputs()
        images = planner.node.create_publisher(Image, "/camera/image_raw", 10)
        images.publish(image_message(IMAGE))
        status = planner.diagnosis_saying("model", "not active")
        assert status.level == status.WARN
        assert labels == []

        assert planner.change_state("activate")
        wait_until(images.get_subscription_count, "the node's subscription")
        images.publish(image_message(IMAGE))
        planner.wait_for_more(labels, 0)

        assert planner.change_state("deactivate")
        wait_until(lambda: not images.get_subscription_count(), "the node to stop listening")
        images.publish(image_message(IMAGE))
        planner.diagnosis_saying("model", "not active")
        time.sleep(0.1)
        assert len(labels) == 1


def test_vocabulary_and_ids_survive_deactivate_and_cleanup() -> None:
    with running_node() as planner:
        planner.set_vocabulary("green", "red")
        before = planner.set_vocabulary("red", "blue").vocabulary
        for transition in ("deactivate", "cleanup"):
            assert planner.change_state(transition)
            assert planner.get_vocabulary().classes == before.classes
            assert planner.get_vocabulary().ids == before.ids

        refused = planner.set_vocabulary("yellow")
        assert not refused.success and "configure" in refused.message

        assert planner.change_state("configure") and planner.change_state("activate")
        after = planner.get_vocabulary()
        assert (after.version, after.ids, after.classes) == (2, before.ids, before.classes)
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [2, 3]
        assert list(planner.set_vocabulary("yellow", "green").vocabulary.ids) == [4, 1]


def test_the_vocabulary_can_change_while_inactive() -> None:
    with running_node({"classes": ["red"]}, state="inactive") as planner:
        assert planner.set_vocabulary("blue").success
        assert planner.change_state("activate")
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [0, 2]


def test_the_node_can_be_stopped_and_started_while_frames_flow() -> None:
    with running_node({"classes": ["red"]}) as planner:
        labels = planner.outputs()
        images = planner.node.create_publisher(Image, "/camera/image_raw", 10)
        camera = planner.node.create_timer(0.005, lambda: images.publish(image_message(IMAGE)))
        for _ in range(15):
            assert planner.change_state("deactivate")
            silent_from = len(labels)
            assert planner.set_vocabulary("red").success
            assert planner.change_state("activate")
            planner.wait_for_more(labels, silent_from)
        camera.cancel()
        assert planner.change_state("deactivate") and planner.change_state("cleanup")
        assert planner.change_state("configure") and planner.change_state("activate")
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]


# --- a model that is not there ---


def assert_fails_to_configure(planner: Planner, *words: str) -> None:
    assert not planner.change_state("configure")
    assert planner.state == "unconfigured"
    status = planner.diagnosis_saying("model", *words)
    assert status.level == status.ERROR and "\n" not in status.message


def test_a_model_that_is_not_on_disk_fails_configure_and_says_how_to_fetch_it() -> None:
    missing = {"model": MISSING_MODEL, "classes": ["red"]}
    with running_node(missing, state="unconfigured") as planner:
        assert_fails_to_configure(planner, MISSING_MODEL, f"zs-seg fetch {MISSING_MODEL}")

        assert planner.set_parameters({"model": "fake"}).successful
        assert planner.change_state("configure") and planner.change_state("activate")
        assert planner.label_of(IMAGE).any()
        planner.diagnosis("model", lambda s: MISSING_MODEL not in s.message, "the error gone")


def test_a_folder_without_a_model_fails_configure_and_says_so(tmp_path: Path) -> None:
    with running_node({"model": str(tmp_path)}, state="unconfigured") as planner:
        assert_fails_to_configure(planner, str(tmp_path), "config.json")


def test_a_damaged_checkpoint_fails_configure_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with running_node({"model": str(tmp_path)}, state="unconfigured") as planner:
        assert_fails_to_configure(planner, str(tmp_path), "damaged")


def test_autostart_with_a_missing_model_leaves_a_node_that_can_be_helped() -> None:
    missing = {"model": MISSING_MODEL, "autostart": True}
    with running_node(missing, state="") as planner:
        planner.diagnosis_saying("model", f"zs-seg fetch {MISSING_MODEL}")
        assert planner.set_parameters({"model": "fake"}).successful
        assert planner.change_state("configure") and planner.change_state("activate")


# --- transitions that do not exist ---


@pytest.mark.parametrize(
    ("state", "transition"),
    [
        ("unconfigured", "deactivate"),
        ("unconfigured", "activate"),
        ("unconfigured", "fly"),
        ("inactive", "configure"),
        ("inactive", "deactivate"),
        ("active", "activate"),
        ("active", "configure"),
        ("active", "cleanup"),
    ],
)
def test_an_invalid_transition_leaves_the_node_as_it_was(state: str, transition: str) -> None:
    with running_node({"classes": ["red"]}, state=state) as planner:
        assert not planner.change_state(transition)
        assert planner.state == state
        if state == "unconfigured":
            assert planner.change_state("configure")
        if state != "active":
            assert planner.change_state("activate")
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active"])
def test_a_number_that_is_no_transition_of_the_state_is_refused(
    state: str, capfd: pytest.CaptureFixture[str]
) -> None:
    valid = {
        "unconfigured": {
            Transition.TRANSITION_CONFIGURE,
            Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        },
        "inactive": {
            Transition.TRANSITION_CLEANUP,
            Transition.TRANSITION_ACTIVATE,
            Transition.TRANSITION_INACTIVE_SHUTDOWN,
        },
        "active": {Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN},
    }
    numbers = {*range(100), 127, 128, 255} - valid[state]
    with running_node({"classes": ["red"]}, state=state) as planner:
        for number in sorted(numbers):
            request = ChangeState.Request(transition=Transition(id=number))
            assert not planner.call(ChangeState, "change_state", request).success
        assert planner.state == state
    log = capfd.readouterr().err
    assert f"there is no transition 20 in the state {state}; there are " in log
    assert log.count("change_state is refused") == len(numbers) and "Traceback" not in log


def test_a_transition_with_a_hostile_name_is_refused_in_one_printable_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    names = ("\x1b[2J", "x\n[ERROR] forged", "y" * 1_000_000)
    with running_node({"classes": ["red"]}) as planner:
        for name in names:
            assert not planner.change_state(name)
        assert planner.state == "active"
    lines = [line for line in capfd.readouterr().err.splitlines() if "is refused" in line]
    assert len(lines) == len(names)
    assert all(line.isprintable() and len(line) < 400 for line in lines)


@pytest.mark.parametrize("number", [10, 77, 255])
def test_a_parameter_of_a_type_that_does_not_exist_is_refused_with_an_answer(
    number: int, capfd: pytest.CaptureFixture[str]
) -> None:
    value = ParameterValue(type=number, integer_value=3)
    parameters = [ParameterMessage(name="min_area", value=value)] * 2
    with running_node({"min_area": 7}, state="inactive") as planner:
        request = SetParameters.Request(parameters=parameters)
        results = planner.call(SetParameters, "set_parameters", request).results
        together = SetParametersAtomically.Request(parameters=parameters)
        result = planner.call(SetParametersAtomically, "set_parameters_atomically", together).result
        assert planner.parameter("min_area") == 7
    assert [one.successful for one in (*results, result)] == [False] * 3
    assert all(str(number) in one.reason for one in (*results, result))
    assert "Traceback" not in capfd.readouterr().err
