# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""A thousand changes by four clients while frames flow: none is lost, and nothing is mixed up."""

from __future__ import annotations

import threading

import pytest
from planner import Planner, image_message, repeating, running_node, stripes, target, wait_until

from zs_seg_ros import msg, srv

CLIENTS, CHANGES_OF_EACH, RESULTS = 4, 250, 30
COLOURS = ("red", "green", "blue", "yellow")
IMAGE = stripes(*COLOURS, height=16, width=8)


def words_of(client: int, number: int) -> list[msg.TargetClass]:
    """Names that come back and new ones; the colour that a name means changes."""
    colours = [COLOURS[(client + number + i) % len(COLOURS)] for i in range(2)]
    names = (f"thing {number % 7}", f"client {client}'s {number % 11}")
    return [target(name, colour) for name, colour in zip(names, colours, strict=True)]


def test_a_storm_of_changes_loses_none_and_mixes_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zs_seg_ros.perception.live_model._WARM_UP_SIZE", (8, 8))
    answers: list[srv.SetVocabulary.Response] = []
    with running_node() as planner:
        objects = planner.outputs("objects")
        clients = [Planner() for _ in range(CLIENTS)]

        def change(client: int) -> None:
            for number in range(20 * CHANGES_OF_EACH):
                if number >= CHANGES_OF_EACH and len(objects) >= RESULTS:
                    break
                answers.append(clients[client].set_vocabulary(*words_of(client, number)))

        threads = [threading.Thread(target=change, args=(client,)) for client in range(CLIENTS)]
        try:
            with repeating(lambda: planner.send(image_message(IMAGE)), 30):
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(300)
                assert not any(thread.is_alive() for thread in threads), "a client waits for ever"
                last = planner.get_vocabulary()
                wait_until(
                    lambda: objects and objects[-1].vocabulary_version == last.version,
                    "a frame with the last vocabulary",
                )
        finally:
            for client in clients:
                client.close()
        seen = list(objects)

    assert len(answers) >= CLIENTS * CHANGES_OF_EACH and all(a.success for a in answers)
    # The answer tells what is in force after the call: the caller's own, as nobody can come between.
    by_version = {a.vocabulary.version: a.vocabulary for a in answers}
    assert sorted(by_version) == list(range(1, last.version + 1)), "a change was lost"
    assert last.version == len(answers)

    id_of: dict[str, int] = {}
    for vocabulary in by_version.values():
        for found, given in zip(vocabulary.classes, vocabulary.ids, strict=True):
            assert id_of.setdefault(found.name, given) == given
    assert len(set(id_of.values())) == len(id_of)

    assert len(seen) >= RESULTS
    for message in seen:
        vocabulary = by_version[message.vocabulary_version]
        expected = {c.name: i for c, i in zip(vocabulary.classes, vocabulary.ids, strict=True)}
        assert {o.class_name: o.class_id for o in message.objects} == expected
