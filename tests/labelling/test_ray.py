# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg label --ray`, on a real Ray cluster on this machine."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import labelled_bags
import psutil
import pytest
from label_processes import finish, parts, start

from zs_seg_ros.errors import LabellingError
from zs_seg_ros.labelling.ray_run import RayCluster
from zs_seg_ros.labelling.run import label

ARGUMENTS = ("--classes", "red box", "blue box", "--model", "fake", "--min-area", "10")


def busy_workers(process: psutil.Process) -> Iterator[psutil.Process]:
    """Yield the Ray workers of a process that label a slice: Ray names a worker process after its task."""
    for child in process.children(recursive=True):
        try:
            if child.cmdline()[:1] == ["ray::_label"]:
                yield child
        except psutil.Error:  # it has ended meanwhile
            continue


def test_a_killed_worker_loses_no_slice(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=60, size=(240, 320))
    process = start(bag, tmp_path / "out", *ARGUMENTS, "--slice", "5", "--ray")
    killed = 0
    while not killed:
        assert process.poll() is None, process.communicate()
        if len(parts(tmp_path / "out")) >= 1:
            for worker in busy_workers(psutil.Process(process.pid)):
                worker.send_signal(signal.SIGKILL)
                killed += 1
        time.sleep(0.005)
    assert len(parts(tmp_path / "out")) < 12
    code, errors = finish(process)
    assert code == 0, errors
    label(labelled_bags.request(tmp_path / "alone", bag))
    assert labelled_bags.content(tmp_path / "out") == labelled_bags.content(tmp_path / "alone")


def test_without_ray_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=2)
    with pytest.raises(LabellingError, match="pip install 'ray"):
        label(labelled_bags.request(tmp_path / "out", bag), RayCluster())
    label(labelled_bags.request(tmp_path / "out", bag))  # without Ray it works
    assert (tmp_path / "out").is_dir()


def test_an_unreachable_cluster_is_reported_at_once(tmp_path: Path) -> None:
    bag = labelled_bags.small_bag(tmp_path / "bag", frames=2)
    with socket.socket() as bound:  # it does not listen, so that connections are refused
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        process = start(bag, tmp_path / "out", *ARGUMENTS, "--ray-address", address)
        code, errors = finish(process)
    assert code == 2
    assert f"no Ray cluster at {address} (ConnectionRefusedError" in errors
