# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The requests of the page by their names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted
from zs_seg_ros.studio import image_commands, job_commands, save_command, words_commands
from zs_seg_ros.studio.request import Answer, Request

_MOST_CAMERAS = 64
_LONGEST_NAME = 300
Command = Callable[[Request], Awaitable[Answer]]


async def _look(request: Request) -> Answer:
    cameras = request.message.get("cameras")
    if not isinstance(cameras, list) or len(cameras) > _MOST_CAMERAS:
        raise StudioError(f"cameras must be a list of at most {_MOST_CAMERAS} names")
    if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in cameras):
        raise StudioError("the name of a camera must be a text")
    confidence = request.message.get("confidence") is True
    request.hub.look(request.client, frozenset(cameras), confidence)
    return {}


COMMANDS: dict[str, Command] = {
    "look": _look,
    "set_vocabulary": words_commands.set_vocabulary,
    "restore": words_commands.restore,
    "export": words_commands.export_text,
    "import": words_commands.import_text,
    "presets": words_commands.presets,
    "preset": words_commands.preset,
    "choose": image_commands.choose,
    "drop": image_commands.drop,
    "clear_dropped": image_commands.clear_dropped,
    "segment": image_commands.segment,
    "point": image_commands.point,
    "example": image_commands.example,
    "keep": image_commands.keep,
    "save": save_command.save,
    "replay_test": job_commands.replay_test,
    "evaluate": job_commands.evaluate,
    "tune": job_commands.tune,
    "cancel": job_commands.cancel,
}


async def answer(request: Request) -> Answer:
    """Return the answer to a request. Raises ZeroShotSegmentationError when it is refused."""
    name = request.message.get("do")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise StudioError(f"there is no request {quoted(name)}: load the page again")
    return await command(request)
