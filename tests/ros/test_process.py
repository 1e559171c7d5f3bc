# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The installed executable, as a process of its own: parameters in, label images out, ends when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from killed_processes import kill
from planner import TIMEOUT_S, Planner, image_message, pixels, stripes, target, wait_until

from zs_seg_ros.ros.own_domain import reserve_domain

IMAGE = stripes("red", "blue")
PATIENCE_S = 10.0
"""Three seconds on an idle machine."""


@contextmanager
def node_process(
    *arguments: str,
    name: str = "zs_seg",
    ignore_sigint: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[subprocess.Popen[str]]:
    """`segmentation_node` with the model fake; killed at the end if it still runs."""

    def as_in_the_background_of_a_shell() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    command = ["segmentation_node", "--ros-args", "-r", f"__node:={name}", "-p", "model:=fake"]
    process = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        preexec_fn=as_in_the_background_of_a_shell if ignore_sigint else None,
    )
    try:
        yield process
    finally:
        kill(process)
        process.communicate()


@pytest.fixture
def planner() -> Iterator[Planner]:
    planner = Planner()
    yield planner
    planner.close()


def ended(process: subprocess.Popen[str], within_s: float = PATIENCE_S) -> tuple[int, str]:
    """Exit code and output of a process that is about to end."""
    output, _ = process.communicate(timeout=within_s)
    return process.returncode, output


SHARED_MEMORY = Path("/dev/shm")


def shared_memory_of(process: Path) -> set[Path]:
    """Files of DDS that a process has mapped; empty when it has ended or is another user's."""
    try:
        lines = (process / "maps").read_text().splitlines()
    except OSError:
        return set()
    paths = {Path(line.split(maxsplit=5)[5]) for line in lines if str(SHARED_MEMORY) in line}
    return {path for path in paths if path.name.startswith(("fast", "sem.fast"))}


@pytest.mark.parametrize(
    ("number", "ignore_sigint"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)],
    ids=["ctrl-C", "SIGTERM", "SIGINT to one that a shell started in the background"],
)
def test_a_signal_ends_it_with_exit_code_0(
    planner: Planner, number: signal.Signals, ignore_sigint: bool
) -> None:
    with node_process(ignore_sigint=ignore_sigint) as process:
        planner.wait_for_state("active")
        process.send_signal(number)
        code, output = ended(process)
    assert code == 0, output
    assert "Traceback" not in output


def test_no_shared_memory_stays_behind() -> None:
    """What it creates goes with it, unless another process has mapped it as well."""
    alone = os.environ | {"ROS_DOMAIN_ID": str(reserve_domain())}
    before = set(SHARED_MEMORY.iterdir())
    with node_process("-p", "classes:=[red]", environment=alone) as process:
        assert process.stdout is not None
        while not process.stdout.readline().endswith("active\n"):
            assert process.poll() is None
        created = shared_memory_of(Path("/proc", str(process.pid))) - before
        assert created, "the test looks in the wrong place"
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == 0
    others = set[Path]().union(*map(shared_memory_of, Path("/proc").glob("[0-9]*")))
    assert {path for path in created - others if path.exists()} == set()


def test_ctrl_c_while_frames_flow_ends_it_with_exit_code_0(planner: Planner) -> None:
    with node_process("-p", "classes:=[red]") as process:
        planner.wait_for_state("active")
        planner.outputs()
        for _ in range(20):
            planner.send(image_message(IMAGE))
        process.send_signal(signal.SIGINT)
        code, output = ended(process)
    assert code == 0, output
    assert "Traceback" not in output


def test_ctrl_c_ends_a_process_whose_node_cannot_be_taken_down() -> None:
    script = """
import time
from rclpy.node import Node
from zs_seg_ros.ros.process import run

class Stubborn(Node):
    def __init__(self):
        super().__init__("stubborn")
        print("up", flush=True)
    def destroy_node(self):
        time.sleep(600)

run(Stubborn)
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert ended(process, within_s=2 * PATIENCE_S)[0] == 0
    finally:
        kill(process)


def test_a_signal_that_the_system_hands_to_another_thread_ends_the_process() -> None:
    script = """
import signal, threading, time
from rclpy.node import Node
from zs_seg_ros.ros.process import run

def wait_for_the_signal():
    time.sleep(1.0)  # the main thread waits by now
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    time.sleep(600)

threading.Thread(target=wait_for_the_signal, daemon=True).start()
run(lambda: Node("patient"))
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert ended(process)[0] == 0
    finally:
        kill(process)


def test_label_images_of_the_words_in_a_parameter_file_arrive_in_another_process(
    planner: Planner, tmp_path: Path
) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text(
        "/**:\n"
        "  ros__parameters:\n"
        "    cameras: [left]\n"
        "    classes: [blue, red]\n"
        "    default_threshold: 0.25\n"
        "    left.reliability: reliable\n"
    )
    with node_process("--params-file", str(file)):
        planner.wait_for_state("active")
        assert planner.parameter("default_threshold") == 0.25
        assert planner.parameter("left.reliability") == "reliable"
        labels = planner.outputs(camera="left")

        def answered() -> bool:
            # Again and again: the node may see our subscription a moment after we see its publisher.
            planner.send(image_message(IMAGE, frame_id="left_optical"), camera="left")
            time.sleep(0.05)
            return bool(labels)

        wait_until(answered, "a label image")
        assert labels[0].header.frame_id == "left_optical"
        assert pixels(labels[0])[0, ::16].tolist() == [2, 1]

        answer = planner.set_vocabulary(target("mug", "red"))
        assert answer.success and list(answer.vocabulary.ids) == [3]


@pytest.mark.parametrize(
    "wrong", ["default_threshold:=1.5", "default_threshold:=high", "classes:=[1, 2]"]
)
def test_a_wrong_parameter_at_the_start_is_one_clear_sentence(wrong: str) -> None:
    with node_process("-p", wrong) as process:
        code, output = ended(process, within_s=TIMEOUT_S)
    assert code not in (0, None)
    assert wrong.split(":=")[0] in output and "Traceback" not in output


@pytest.mark.parametrize(
    "content",
    ["zs_seg:\n  ros__parameters:\n    model: [unclosed\n", "{", "\t\x01", "a: &a [*a]"],
    ids=["unclosed", "brace", "control", "alias"],
)
def test_a_malformed_parameter_file_is_one_sentence_without_traceback(
    content: str, tmp_path: Path
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with node_process("--params-file", str(file)) as process:
        code, output = ended(process)
    assert code == 1 and "Traceback" not in output
    assert "the parameter file or the ROS arguments are refused" in output


@pytest.mark.parametrize("name", ["folder", "missing.yaml"])
def test_a_parameter_file_that_is_none_is_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with node_process("--params-file", str(tmp_path / name)) as process:
        code, output = ended(process)
    assert code == 1 and "Traceback" not in output and "refused" in output


def test_of_two_processes_with_one_vocabulary_file_the_second_names_the_first_until_that_is_killed(
    planner: Planner, tmp_path: Path
) -> None:
    option = ("-p", f"vocabulary_file:={tmp_path / 'words.yaml'}")
    with node_process(*option) as first:
        planner.wait_for_state("active")
        assert planner.set_vocabulary("red").success
        with node_process(*option, name="other") as second:
            refusal = read_until(second, "is in use by")
            assert f"is in use by zs_seg (process {first.pid})" in refusal
        kill(first)
        ended(first)
    with node_process(*option, name="other") as third:
        read_until(third, "active")


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return the first line of the output with these words."""
    assert process.stdout is not None
    too_late = threading.Timer(TIMEOUT_S, process.kill)
    too_late.start()
    try:
        for line in process.stdout:
            if words in line:
                return line
    finally:
        too_late.cancel()
    raise AssertionError(f"the process ended, or was killed, without {words!r} in its output")
