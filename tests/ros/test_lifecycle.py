"""Four symmetric steps: what each starts, what it stops, and what survives it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from planner import Planner, image_message, running_node, stripes, values, wait_until
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
        planner.ask_for_state(transition)
        assert planner.state == state
        if state == "unconfigured":
            assert planner.change_state("configure")
        if state != "active":
            assert planner.change_state("activate")
        assert planner.label_of(IMAGE)[0, ::16].tolist() == [1, 0]
