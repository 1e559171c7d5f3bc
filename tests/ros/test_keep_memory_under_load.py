# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.


"""A hundred calls of ~/keep and ~/forget with a video memory, while images arrive and the vocabulary changes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planner import repeating, running_node, target, values, wait_until
from test_keep import (
    HEIGHT,
    WIDTH,
    Table,
    first_since,
    keep_request,
    mask_message,
)
from video_checkpoints import KINDS, write_following_model

from zs_seg_ros.perception.kept_object import KeptObject
from zs_seg_ros.segmenters.shared.memory_network import ObjectState
from zs_seg_ros.segmenters.shared.network_prompter import NetworkMemory
from zs_seg_ros.srv import ForgetObject, KeepObject, SetVocabulary

SHOWN = (("red", 10, 10), ("blue", 60, 40))
MOST, ROUNDS = 3, 12
PLACES = ((10, 10), (60, 40), (30, 20), (80, 8), (5, 50))
"""Where objects are marked, (left, top): more than are allowed."""


@pytest.fixture(params=KINDS)
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    parameters = {
        "model": write_following_model(request.param, tmp_path, ("red", "blue")),
        "device": "cpu",
        "classes": ["red"],
        "min_area": 1,
        "max_kept_objects": MOST,
        "default_threshold": 1.0,  # nothing is detected
    }
    with running_node(parameters) as planner:
        yield Table(planner)


def keep_at(place: tuple[int, int], name: str) -> Any:
    """A request for an object of 3x3 pixels."""
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[place[1] : place[1] + 3, place[0] : place[0] + 3] = True
    return keep_request(mask=mask_message(mask), class_name=name)


def ask(table: Table, service_type: Any, name: str, *requests: Any) -> list[Any]:
    """The answers to requests that wait for each other."""
    futures = [table.planner.ask(service_type, name, request) for request in requests]
    wait_until(lambda: all(future.done() for future in futures), f"all answers of {name}")
    return [future.result() for future in futures]


def count(kind: type) -> int:
    """How many objects of a class there are."""
    return sum(type(each) is kind for each in gc.get_objects())


def left_after_collection() -> dict[str, int]:
    """How many memories and tensors there are."""
    gc.collect()
    kinds = (KeptObject, NetworkMemory, ObjectState, torch.Tensor)
    return {kind.__name__: count(kind) for kind in kinds}


def shown_in(received: list[Any], version: int) -> set[tuple[str, int, int]]:
    """Class, id and track id of what the first result of a version with objects has.

    Not each kept object is in it: with random weights two memories may find the same pixels, which one object gets.
    """
    result = wait_until(
        lambda: [each for each in received if each.vocabulary_version == version and each.objects],
        f"objects of version {version}",
    )[0]
    return {(each.class_name, each.class_id, each.track_id) for each in result.objects}


def bytes_of_one(table: Table) -> int:
    """The bytes of the memory of the only kept object, once it has all images that the model reads."""
    results = table.planner.outputs("objects")
    table.planner.wait_for_more(results, len(results) + 20)
    status = table.planner.diagnosis(
        "model", lambda status: values(status)["kept objects"] == "1", "one kept object"
    )
    gc.collect()
    [state] = {each.nbytes: each for each in gc.get_objects() if type(each) is ObjectState}.values()
    reported = int(values(status)["kept objects (bytes)"].rpartition(" ")[2])
    own = reported - state.nbytes - HEIGHT * WIDTH * 4
    assert 0 < own <= HEIGHT * WIDTH, (
        "image and mask of the exemplar, the memory, and the last mask"
    )
    return int(state.nbytes)


def measured(table: Table) -> int:
    """Keep one object until its memory is full. Returns the bytes of that."""
    [answer] = ask(table, KeepObject, "keep", keep_at(PLACES[0], "part"))
    assert answer.success, answer.message
    full = bytes_of_one(table)
    [forgotten] = ask(table, ForgetObject, "forget", ForgetObject.Request())
    assert forgotten.count == 1, forgotten.message
    return full


def settled(table: Table) -> None:
    """Wait for an image in which nothing is kept, the last one that is processed."""
    status = table.planner.diagnosis(
        "model", lambda status: values(status)["kept objects"] == "0", "no kept object"
    )
    assert values(status)["kept objects (bytes)"] == ""
    assert not table.objects(*SHOWN).objects


def calls_of_a_round(table: Table, number: int) -> int:
    """Keep as many objects as are allowed and more, change the vocabulary, and forget them. Returns how many calls."""
    planner, objects = table.planner, table.planner.outputs("objects")
    names = [f"part {number} {place}" for place in range(len(PLACES))]
    requests = [keep_at(*each) for each in zip(PLACES, names, strict=True)]
    answers = ask(table, KeepObject, "keep", *requests)
    assert [answer.success for answer in answers] == [True] * MOST + [False] * 2
    for refused in answers[MOST:]:
        assert f"{MOST} objects are kept and max_kept_objects is {MOST}" in refused.message
        assert (refused.class_id, refused.track_id, refused.class_name) == (0, 0, "")
    kept = answers[:MOST]
    assert [answer.class_name for answer in kept] == names[:MOST]
    assert len({answer.track_id for answer in kept}) == MOST

    others = [target("red"), target(("blue", "red blue")[number % 2])]
    classes = [*others, *table.vocabulary().classes[-MOST:]]
    request = SetVocabulary.Request(classes=classes)
    changed = planner.call(SetVocabulary, "set_vocabulary", request)
    assert changed.success, changed.message
    shown = shown_in(objects, changed.vocabulary.version)
    assert shown <= {(each.class_name, each.class_id, each.track_id) for each in kept}
    objects.clear()

    to_forget = (
        ForgetObject.Request(class_name=names[0]),
        ForgetObject.Request(track_id=kept[1].track_id),
        ForgetObject.Request(class_name=names[0]),
        ForgetObject.Request(),
    )
    forgotten = ask(table, ForgetObject, "forget", *to_forget)
    assert [each.count for each in forgotten] == [1, 1, 0, 1]
    assert "no object with the class" in forgotten[2].message
    assert [c.name for c in table.vocabulary().classes] == [c.name for c in others]
    assert not first_since(objects, forgotten[-1].vocabulary_version).objects
    objects.clear()
    return len(requests) + len(to_forget)


def test_all_are_answered_and_nothing_is_left(table: Table) -> None:
    table.objects(*SHOWN)
    calls = 0
    with repeating(lambda: table.publish(*SHOWN), 20):
        full = measured(table)
        for number in range(2):  # phrases of later rounds are then cached
            calls += calls_of_a_round(table, number)
    settled(table)
    before = left_after_collection()
    with repeating(lambda: table.publish(*SHOWN), 20):
        for number in range(2, ROUNDS):
            calls += calls_of_a_round(table, number)
        assert calls >= 100
        assert measured(table) == full
    settled(table)
    after = left_after_collection()
    assert [after[kind.__name__] for kind in (KeptObject, NetworkMemory, ObjectState)] == [0, 0, 0]
    assert after["Tensor"] <= before["Tensor"]
    assert table.planner.state == "active"
    assert not table.objects(*SHOWN).objects
