# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The ASGI application: the page, its files, and the WebSocket of each browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from zs_seg_ros.errors import StudioError, ZeroShotSegmentationError
from zs_seg_ros.shown import described, traced
from zs_seg_ros.studio.access import Access, Guard
from zs_seg_ros.studio.client import Client
from zs_seg_ros.studio.commands import answer
from zs_seg_ros.studio.hub import Hub
from zs_seg_ros.studio.jobs import LOG
from zs_seg_ros.studio.packet import decoded, encoded, parsed
from zs_seg_ros.studio.request import Request

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_TOO_MANY = 1013
"""WebSocket's code for a server that is to be tried again later."""


def application(hub: Hub, access: Access) -> ASGIApp:
    """Return the application of a hub."""
    files = {file.name: file.read_bytes() for file in PAGE.iterdir() if file.suffix in _TYPES}

    async def page(request: HttpRequest) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return PlainTextResponse("There is no such file.", 404)
        return Response(files[name], media_type=_TYPES[Path(name).suffix])

    async def live(websocket: WebSocket) -> None:
        await _serve(hub, websocket)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(_logged(hub))
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    routes = [Route("/", page), Route("/page/{name}", page), WebSocketRoute("/live", live)]
    return Guard(Starlette(routes=routes, lifespan=lifespan), access)


async def _logged(hub: Hub) -> None:
    """Run the hub; an exception is logged at once, and not when the server ends."""
    try:
        await hub.run()
    except Exception as error:
        LOG.error("%s\n%s", described(error), traced(error))


async def _serve(hub: Hub, websocket: WebSocket) -> None:
    await websocket.accept()
    client = Client()
    try:
        hub.join(client)
    except StudioError as error:
        await websocket.close(_TOO_MANY, str(error)[:120])
        return
    sending = asyncio.create_task(client.send(websocket))
    tasks = {sending}
    try:
        while not sending.done():
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                break
            if (task := await _started(hub, client, message, sending)) is not None:
                tasks.add(task)
                task.add_done_callback(tasks.discard)
    finally:
        hub.leave(client)
        for task in tuple(tasks):
            task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError):
            await asyncio.gather(*tasks, return_exceptions=True)


async def _started(
    hub: Hub, client: Client, message: Mapping[str, Any], sending: asyncio.Task[None]
) -> asyncio.Task[None] | None:
    """Begin the request of a message, which goes on in a task of its own; None where no answer is expected."""
    content: dict[str, Any] = {}
    parts: dict[str, bytes] = {}
    problem = ""
    try:
        if (data := message.get("bytes")) is not None:
            content, parts = decoded(data)
        else:
            content = parsed(message.get("text") or "")
    except StudioError as error:
        problem = str(error)
    if content.get("do") == "ready":
        client.ready(content.get("camera"))
        return None
    acquiring = asyncio.ensure_future(client.requests.acquire())
    await asyncio.wait((acquiring, sending), return_when=asyncio.FIRST_COMPLETED)
    if not acquiring.done():  # the connection ended
        acquiring.cancel()
        return None
    if problem:
        client.answer(json.dumps({"is": "answer", "to": None, "error": problem}))
        return None
    return asyncio.create_task(_reply(Request(hub, client, content, parts)))


async def _reply(request: Request) -> None:
    """Answer a request, whatever happens: the page waits for it."""
    heading: dict[str, Any] = {"is": "answer", "to": request.message.get("id")}
    try:
        result = await answer(request)
        if isinstance(result, tuple):
            request.client.answer(encoded({**heading, **result[0]}, result[1]))
            return
        request.client.answer(json.dumps({**heading, **result}))
        return
    except ZeroShotSegmentationError as error:
        heading["error"] = str(error)
    except Exception as error:
        LOG.error("%s\n%s", described(error), traced(error))
        heading["error"] = f"the studio fails on this request: {described(error)}"
    request.client.answer(json.dumps(heading))
