"""The requests of the page, each a function of the hub, the client, the message and its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted
from zs_seg_ros.studio.client import Client
from zs_seg_ros.studio.hub import Hub
from zs_seg_ros.studio.vocabularies import classes_from_json

_MOST_CAMERAS = 64
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Request:
    """One request. message: its JSON object. parts: the bytes behind it."""

    hub: Hub
    client: Client
    message: Mapping[str, Any]
    parts: Mapping[str, bytes]


Answer = dict[str, Any] | tuple[dict[str, Any], dict[str, bytes]]
"""The fields of the answer and, for a binary one, its parts."""
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


async def _set_vocabulary(request: Request) -> Answer:
    classes = classes_from_json(request.message.get("classes"), request.hub.exemplars)
    return await request.hub.change_vocabulary(request.message.get("base"), classes)


async def _restore(request: Request) -> Answer:
    edition = request.hub.history.edition(request.message.get("edition"))
    return await request.hub.change_vocabulary(
        request.message.get("base"), edition.vocabulary.classes
    )


COMMANDS: dict[str, Command] = {
    "look": _look,
    "set_vocabulary": _set_vocabulary,
    "restore": _restore,
}


async def answer(request: Request) -> Answer:
    """Return the answer to a request. Raises ZeroShotSegmentationError when it is refused."""
    name = request.message.get("do")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise StudioError(f"there is no request {quoted(name)}: load the page again")
    return await command(request)
