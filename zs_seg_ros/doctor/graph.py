# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The ROS graph, read by a process of its own, and the mismatches of QoS and of types in it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from zs_seg_ros.doctor.check import Check, error, ok, warning
from zs_seg_ros.shown import quoted, shown

NAME = "ROS graph"
_TIMEOUT_S = 30.0
_MOST_NAMED = 10
_IMAGES = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "ffmpeg_image_transport_msgs/msg/FFMPEGPacket",
)


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscription. reliable, latched: what it offers or requests."""

    topic: str
    type: str
    node: str
    publishes: bool
    reliable: bool
    latched: bool


@dataclass(frozen=True)
class Graph:
    """What is on the graph. problem: why it could not be read, empty when it was."""

    problem: str = ""
    middleware: str = ""
    domain: str = ""
    endpoints: tuple[Endpoint, ...] = ()


def read_graph() -> Graph:
    """Read the graph by a process of its own, which ends with whatever DDS does."""
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path[0] = {json.dumps(root)}; from zs_seg_ros.ros.graph_report import main; main()"
    try:
        result = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Graph(f"it was not read within {_TIMEOUT_S:.0f} s")
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return Graph(f"it cannot be read: {shown(lines[-1], 300)}")
    content = json.loads(result.stdout.splitlines()[-1])
    endpoints = tuple(Endpoint(**endpoint) for endpoint in content["endpoints"])
    return Graph("", content["middleware"], content["domain"], endpoints)


def check_graph(graph: Graph) -> list[Check]:
    """Check what is on the graph: topics of images, and endpoints that do not match."""
    if graph.problem:
        remedy = "Correct what it names; `ros2 doctor` examines ROS itself."
        return [error(NAME, graph.problem, remedy)]
    return [_images(graph), *_mismatches(graph)]


def _images(graph: Graph) -> Check:
    publishers = [e for e in graph.endpoints if e.publishes and e.type in _IMAGES]
    if not publishers:
        return warning(
            NAME,
            f"no images are published in the ROS domain {shown(graph.domain)}",
            "Start the camera's driver, with the same ROS_DOMAIN_ID as here.",
        )
    named = [f"{shown(e.topic, 100)} ({_quality(e)})" for e in publishers[:_MOST_NAMED]]
    rest = len(publishers) - len(named)
    more = f" and {rest} more" if rest > 0 else ""
    return ok(NAME, f"images are published on {', '.join(named)}{more}")


def _mismatches(graph: Graph) -> Iterator[Check]:
    def topic_of(endpoint: Endpoint) -> str:
        return endpoint.topic

    checks = []
    for topic, group in groupby(sorted(graph.endpoints, key=topic_of), topic_of):
        endpoints = list(group)
        types = sorted({endpoint.type for endpoint in endpoints})
        if len(types) > 1:
            named = " and ".join(shown(kind, 100) for kind in types)
            text = f"the topic has the types {named}: they do not reach each other"
            checks.append(warning(shown(topic, 100), text, "Rename one of the topics."))
        for publisher in (e for e in endpoints if e.publishes):
            for subscriber in (e for e in endpoints if not e.publishes):
                if publisher.type == subscriber.type and (text := _mismatch(publisher, subscriber)):
                    checks.append(warning(shown(topic, 100), text, _remedy(publisher, subscriber)))
    rest = len(checks) - _MOST_NAMED
    yield from checks[:_MOST_NAMED]
    if rest > 0:
        yield warning(NAME, f"{rest} more topics do not match", "Correct those above first.")


def _mismatch(publisher: Endpoint, subscriber: Endpoint) -> str:
    """Return in what the subscriber requests more than is offered; empty where the two match."""
    if (subscriber.reliable and not publisher.reliable) or (
        subscriber.latched and not publisher.latched
    ):
        return (
            f"{quoted(subscriber.node)} requests {_quality(subscriber)} and receives nothing of "
            f"{quoted(publisher.node)}, which offers {_quality(publisher)}"
        )
    return ""


def _remedy(publisher: Endpoint, subscriber: Endpoint) -> str:
    if subscriber.reliable and not publisher.reliable:
        return f"Set the reliability of {quoted(subscriber.node)} to best effort."
    return f"Set the durability of {quoted(subscriber.node)} to volatile."


def _quality(endpoint: Endpoint) -> str:
    reliability = "reliable" if endpoint.reliable else "best effort"
    return f"{reliability}, {'transient local' if endpoint.latched else 'volatile'}"
