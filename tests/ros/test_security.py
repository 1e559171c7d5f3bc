# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The SROS 2 policy allows what the node does, and only that."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from planner import Planner, running_node, wait_until

POLICY = Path(__file__).parents[2] / "config" / "security" / "policy.xml"
CAMERAS: dict[str, Any] = {
    "cameras": ["front", "arm/wrist"],
    "front.depth": True,
    "front.depth_transport": "compressed",
    "arm/wrist.depth": True,
    "arm/wrist.transport": "compressed",
    "arm/wrist.lidar": "/points",
}


def allowed(enclave: str, kind: str, right: str) -> set[str]:
    """Full names, with wildcards, of the topics or services that a profile allows."""
    [profile] = (
        ET.parse(POLICY).getroot().findall(f".//enclave[@path='{enclave}']/profiles/profile")
    )
    full = profile.attrib["ns"] + profile.attrib["node"]
    rules = [rule for rule in profile if rule.tag == kind and rule.attrib.get(right) == "ALLOW"]
    return {str(name.text).replace("~", full) for rule in rules for name in rule}


def of_node(planner: Planner, what: str) -> set[str]:
    """What the running node has of publishers, subscribers or services."""
    ask = getattr(planner.node, f"get_{what}_names_and_types_by_node")
    wait_until(lambda: ("zs_seg", "/") in planner.node.get_node_names_and_namespaces(), "the node")
    return {name for name, _ in ask("zs_seg", "/")}


def test_the_node_has_the_rights_that_it_uses_and_no_others() -> None:
    with running_node(CAMERAS) as planner:
        for camera in CAMERAS["cameras"]:  # without a subscriber cameras are not subscribed to
            planner.outputs("points", camera)
        for what, kind, right in (
            ("publisher", "topics", "publish"),
            ("subscriber", "topics", "subscribe"),
            ("service", "services", "reply"),
        ):
            rules = allowed("/zs_seg/node", kind, right)

            def lacking(rules: set[str] = rules, what: str = what) -> list[str]:
                used = of_node(planner, what)
                return [n for n in sorted(used) if not any(fnmatchcase(n, r) for r in rules)]

            assert lacking() == []
            # Not in every distribution, and not without vision_msgs, FFMPEGPacket, simulated time, a selected object or
            # propagation by geometry.
            maybe = (
                "label_info", "/ffmpeg", "/clock", "/tf", "/tf_static", "/parameter_events", "_description",
            )  # fmt: skip

            def all_used(
                rules: set[str] = rules, what: str = what, maybe: tuple[str, ...] = maybe
            ) -> bool:
                used = of_node(planner, what)
                needed = [rule for rule in rules if not rule.endswith(maybe)]
                return all(any(fnmatchcase(name, rule) for name in used) for rule in needed)

            wait_until(all_used, f"a use of each rule for {what}s")


def test_planners_and_viewers_may_read_what_the_node_publishes_and_ask_what_it_answers() -> None:
    offered = allowed("/zs_seg/node", "topics", "publish")
    answered = allowed("/zs_seg/node", "services", "reply")
    images = {"/*/image_raw", "/*/image_raw/compressed"}  # of the cameras
    for enclave in ("/zs_seg/planner", "/zs_seg/viewer", "/zs_seg/studio"):
        assert allowed(enclave, "topics", "subscribe") - {"/clock"} - images <= offered
        assert allowed(enclave, "services", "request") <= answered
        assert allowed(enclave, "topics", "publish") == {"/parameter_events", "/rosout"}


def test_only_planners_and_the_studio_may_change_the_vocabulary_and_nobody_the_parameters() -> None:
    assert "/zs_seg/set_vocabulary" in allowed("/zs_seg/studio", "services", "request")
    assert "/zs_seg/set_vocabulary" in allowed("/zs_seg/planner", "services", "request")
    assert "/zs_seg/set_vocabulary" not in allowed("/zs_seg/viewer", "services", "request")
    for enclave in ("/zs_seg/planner", "/zs_seg/viewer", "/zs_seg/studio"):
        requests = allowed(enclave, "services", "request")
        assert not [n for n in requests if "set_parameters" in n or "change_state" in n]
