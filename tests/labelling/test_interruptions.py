# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label` interrupted by signals, a full disk or damage, and started again."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import labelled_bags
import pytest
from label_processes import finish, parts, start

from zs_seg_ros.errors import LabellingError
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.labelling.run import OnFrames, Task, label, label_here
from zs_seg_ros.labelling.work_folder import open_work_folder

CLASSES = ("--classes", "red box", "blue box")
SETTINGS = ("--model", "fake", "--min-area", "10", "--slice", "5")


def command(bag: Path, out: Path, *more: str) -> Sequence[str | Path]:
    return (bag, out, *CLASSES, *SETTINGS, *more)


def is_joining(out: Path) -> bool:
    return any(out.with_name(f"{out.name}.partial").glob("unfinished/*"))


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while not reached():
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_bags.small_bag(
        tmp_path_factory.mktemp("interrupted") / "bag", 100, size=(240, 320)
    )


@pytest.fixture(scope="module")
def uninterrupted(bag: Path) -> labelled_bags.Content:
    out = bag.with_name("uninterrupted")
    assert finish(start(*command(bag, out)))[0] == 0
    return labelled_bags.content(out)


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_continues_and_ends_with_the_same_result(
    bag: Path, uninterrupted: labelled_bags.Content, tmp_path: Path, signal_number: signal.Signals
) -> None:
    out = tmp_path / "out"
    process = start(*command(bag, out))
    wait_until(lambda: len(parts(out)) >= 3, process)
    process.send_signal(signal_number)
    code, errors = finish(process)
    if signal_number == signal.SIGINT:
        assert code == 130
        assert errors.endswith("interrupted; the same command continues where it stopped\n")
        assert "Traceback" not in errors
    assert not out.exists()
    done = {part: part.stat().st_ino for part in parts(out)}
    assert 3 <= len(done) < 20

    process = start(*command(bag, out))
    wait_until(lambda: len(parts(out)) > len(done), process)
    assert {part: part.stat().st_ino for part in parts(out)}.items() >= done.items()  # not again
    code, errors = finish(process)
    assert code == 0, errors
    assert labelled_bags.content(out) == uninterrupted
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_run_killed_while_joining_the_results_continues(
    bag: Path, uninterrupted: labelled_bags.Content, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(*command(bag, out))
    wait_until(lambda: is_joining(out), process)
    process.kill()
    finish(process)
    assert not out.exists() and len(parts(out)) == 20
    assert finish(start(*command(bag, out)))[0] == 0
    assert labelled_bags.content(out) == uninterrupted


def test_another_run_with_other_arguments_is_refused_and_names_them(
    bag: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(*command(bag, out))
    wait_until(lambda: len(parts(out)) >= 1, process)
    process.kill()
    finish(process)
    other = start(*command(bag, out, "--threshold", "0.25", "--no-track"))
    code, errors = finish(other)
    assert code == 2
    assert "other --threshold, --no-track" in errors and "remove that folder" in errors
    assert len(parts(out)) >= 1


def test_a_second_run_with_the_same_output_is_refused(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=3)
    request = labelled_bags.request(tmp_path / "out", bag)
    with open_work_folder(request), pytest.raises(LabellingError, match="another zs-seg label"):
        label(request)
    label(request)
    assert (tmp_path / "out").is_dir()


def test_a_finished_recording_of_several_is_not_labelled_again(tmp_path: Path) -> None:
    one, two = (labelled_bags.small_bag(tmp_path / name, frames=12) for name in ("one", "two"))
    request = labelled_bags.request(tmp_path / "out", one, two)
    label(labelled_bags.request(tmp_path / "uninterrupted", one, two))
    labelled: list[str] = []

    def label_the_first(request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
        label_here(request, [task for task in tasks if task.plan.name == "one"], on_frames)
        raise LabellingError("interrupted")

    def label_the_rest(request: LabelRequest, tasks: Sequence[Task], on_frames: OnFrames) -> None:
        labelled.extend(task.plan.name for task in tasks)
        label_here(request, tasks, on_frames)

    with pytest.raises(LabellingError, match="interrupted"):
        label(request, label_the_first)
    label(request, label_the_rest)
    assert set(labelled) == {"two"}
    for name in ("one", "two"):
        expected = labelled_bags.content(tmp_path / "uninterrupted" / name)
        assert labelled_bags.content(tmp_path / "out" / name) == expected


@pytest.mark.parametrize(
    ("output_format", "limit"),
    [
        ("mcap", 3_000),  # less than a part
        ("sqlite3", 60_000),  # less than the result
        ("coco", 60_000),
    ],
)
def test_a_full_disk_is_reported_in_a_sentence(
    bag: Path, tmp_path: Path, output_format: str, limit: int
) -> None:
    def small_files_only() -> None:  # writing beyond fails as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    out = tmp_path / "out"
    process = start(*command(bag, out, "--format", output_format), preexec_fn=small_files_only)
    code, errors = finish(process)
    assert code == 2, errors
    assert "cannot be written" in errors and "Traceback" not in errors
    assert not out.exists()
    assert finish(start(*command(bag, out, "--format", output_format)))[0] == 0
    assert out.is_dir()
