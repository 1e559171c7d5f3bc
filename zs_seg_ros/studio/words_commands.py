# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Requests about the vocabulary: set, restore, import, export, presets."""

from __future__ import annotations

from collections.abc import Iterable

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted
from zs_seg_ros.studio.request import Answer, Request
from zs_seg_ros.studio.vocabularies import class_json, classes_from_json
from zs_seg_ros.vocabulary.vocabulary import TargetClass, Vocabulary
from zs_seg_ros.vocabulary.vocabulary_file import parse_vocabulary, vocabulary_text


async def set_vocabulary(request: Request) -> Answer:
    """Put the classes of the page in force."""
    classes = classes_from_json(request.message.get("classes"), request.hub.exemplars)
    return await request.hub.change_vocabulary(request.message.get("base"), classes)


async def restore(request: Request) -> Answer:
    """Put the classes of an edition of the history in force again."""
    edition = request.hub.history.edition(request.message.get("edition"))
    return await request.hub.change_vocabulary(
        request.message.get("base"), edition.vocabulary.classes
    )


async def export_text(request: Request) -> Answer:
    """Return the classes of the page as the text of a vocabulary file."""
    classes = classes_from_json(request.message.get("classes"), request.hub.exemplars)
    return {"text": vocabulary_text(Vocabulary().changed_to(classes))}


async def import_text(request: Request) -> Answer:
    """Return the classes of the text of a vocabulary file, which is not in force by that."""
    data = request.parts.get("file", b"")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StudioError("the file is no text in UTF-8: choose a vocabulary file") from error
    return _classes(request, parse_vocabulary(text, "the imported file").classes)


async def presets(request: Request) -> Answer:
    """Return the names of the presets."""
    return {"names": list(request.hub.presets)}


async def preset(request: Request) -> Answer:
    """Return the classes of a preset, which are not in force by that."""
    name = request.message.get("name")
    if not isinstance(name, str) or name not in request.hub.presets:
        raise StudioError(f"there is no preset {quoted(name)}: choose one of the list")
    text = request.hub.presets[name]
    return _classes(request, parse_vocabulary(text, f"the preset {quoted(name)}").classes)


def _classes(request: Request, classes: Iterable[TargetClass]) -> Answer:
    exemplars = request.hub.exemplars
    return {"classes": [class_json(target, target.id, exemplars) for target in classes]}
