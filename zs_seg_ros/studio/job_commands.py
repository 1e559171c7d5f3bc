# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Requests that begin a job, or cancel the one that runs."""

from __future__ import annotations

import asyncio
import re

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted, shown
from zs_seg_ros.studio.jobs import Work
from zs_seg_ros.studio.measure_request import MeasureRequest, measured
from zs_seg_ros.studio.request import Answer, Request
from zs_seg_ros.studio.save_command import folder_of
from zs_seg_ros.studio.vocabularies import classes_from_json
from zs_seg_ros.vocabulary.vocabulary import Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import vocabulary_text

_FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"


async def replay_test(request: Request) -> Answer:
    """Begin to make a golden file of a span of the recording, in the folder that --save names."""
    folder = folder_of(request).folder
    match request.message:
        case {"camera": str(camera), "first": int(first), "last": int(last), "name": str(name)}:
            pass
        case _:
            raise StudioError(
                "the request has no camera, first, last and name: load the page again"
            )
    if not re.fullmatch(_FILE_NAME, name, re.ASCII):
        raise StudioError(
            f"{quoted(name)} cannot be the name of a file: use letters, digits, dots, dashes and underscores"
        )
    path = folder / f"{name}.golden"

    def prepare() -> Work:
        if path.exists() or path.is_symlink():
            raise StudioError(f"there is a file {shown(path, 300)} already: choose another name")
        return request.hub.source.replay_test(camera, first, last, path)

    return {"number": request.hub.jobs.start("golden", await asyncio.to_thread(prepare))}


async def evaluate(request: Request) -> Answer:
    """Begin to compare the model and the classes of the page with the labelled frames."""
    return await _measure(request, "evaluate")


async def tune(request: Request) -> Answer:
    """Begin to choose thresholds and prompts for the classes of the page on the labelled frames."""
    return await _measure(request, "tune")


async def _measure(request: Request, kind: str) -> Answer:
    labelled = folder_of(request)
    if not len(labelled):
        raise StudioError("no frame is labelled yet: save some with Save as a labelled frame")
    classes = classes_from_json(request.message.get("classes"), request.hub.exemplars)

    def prepare() -> MeasureRequest:
        choice = request.hub.source.model()
        return MeasureRequest(
            kind,
            str(labelled.annotations),
            str(labelled.images),
            vocabulary_text(Vocabulary().changed_to(classes)),
            choice.name,
            choice.options,
            choice.threshold,
        )

    prepared = await asyncio.to_thread(prepare)
    return {"number": request.hub.jobs.start(kind, lambda job: measured(prepared, job))}


async def cancel(request: Request) -> Answer:
    """Cancel the job that the page shows; one that was begun meanwhile goes on."""
    number = request.message.get("number")
    if number is not None and not isinstance(number, int):
        raise StudioError("the number of a job must be a whole number: load the page again")
    request.hub.jobs.cancel(number)
    return {}
