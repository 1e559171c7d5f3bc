# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Calls of many planners at once wait for each other, and each is answered."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from planner import image_message, running_node, stripes, target, wait_until
from std_srvs.srv import SetBool

from zs_seg_ros import srv
from zs_seg_ros.segmenters.fake import FakeSegmenter
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

CLIENTS, CALLS = 20, 10
"""A client itself keeps 10 requests and answers by default."""


class Held(FakeSegmenter):
    """Waits in the preparation of each vocabulary while `go_on` is not set."""

    go_on, working = threading.Event(), threading.Event()

    def encode(self, vocabulary: Vocabulary) -> Any:
        Held.working.set()
        Held.go_on.wait(20)
        return super().encode(vocabulary)


def test_two_hundred_vocabularies_that_wait_for_a_slow_one_are_all_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zs_seg_ros.segmenters.fake.FakeSegmenter", Held)
    Held.go_on.set()
    with running_node() as planner:
        name = f"/{planner.of}/set_vocabulary"
        clients = [planner.node.create_client(srv.SetVocabulary, name) for _ in range(CLIENTS)]
        for client in clients:
            wait_until(client.service_is_ready, "the service")
        Held.go_on.clear()
        Held.working.clear()
        first = planner.ask_vocabulary("red")
        assert Held.working.wait(20)
        answers = [
            client.call_async(srv.SetVocabulary.Request(classes=[target(f"red {number} {call}")]))
            for call in range(CALLS)
            for number, client in enumerate(clients)
        ]
        Held.go_on.set()
        wait_until(lambda: all(answer.done() for answer in (first, *answers)), "all answers")
        results = [answer.result() for answer in answers]
        assert all(result.success for result in results)
        versions = [result.vocabulary.version for result in results]
        assert len(set(versions)) == CLIENTS * CALLS
        newest = max(results, key=lambda result: result.vocabulary.version)
        assert planner.get_vocabulary() == newest.vocabulary


def test_images_and_switches_of_many_planners_are_all_answered() -> None:
    with running_node({"classes": ["red"]}) as planner:
        image = image_message(stripes("red"))
        answers = [
            planner.ask(kind, name, request)
            for kind, name, request in (
                (srv.SegmentImage, "segment", srv.SegmentImage.Request(image=image)),
                (SetBool, "enable", SetBool.Request(data=True)),
            )
            for _ in range(CALLS)
        ]
        wait_until(lambda: all(answer.done() for answer in answers), "all answers")
        assert all(answer.result().success for answer in answers)
