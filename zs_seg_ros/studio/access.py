# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Who may use the studio's server: hosts, origins, the token; and the headers of every answer."""

from __future__ import annotations

import hmac
import ipaddress
import socket
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from zs_seg_ros.errors import StudioError
from zs_seg_ros.shown import quoted

_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
_SHORTEST_TOKEN = 16
_REFUSED_CODE = 1008
"""WebSocket's code for a violation of the server's policy."""
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Access:
    """The address that the server listens on, and the token that its clients must have.

    token: at least 16 characters; empty: none, which is accepted for loopback addresses only. Raises StudioError.
    """

    host: str
    port: int
    token: str = ""

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise StudioError(
                f"the host {quoted(self.host)} can be reached by other machines, and there is no token: give one, or "
                "use 127.0.0.1"
            )
        if self.token and (len(self.token) < _SHORTEST_TOKEN or not self.token.isascii()):
            raise StudioError(
                f"a token of {len(self.token)} characters is refused: give at least {_SHORTEST_TOKEN} characters of "
                "ASCII, or none to have one made"
            )

    @property
    def link(self) -> str:
        """The link to open in a browser."""
        name = self.host.strip("[]")
        if name in ("0.0.0.0", "::"):
            name = socket.gethostname()
        shown = f"[{name}]" if ":" in name else name
        return f"http://{shown}:{self.port}/{f'?token={self.token}' if self.token else ''}"

    @property
    def cookie(self) -> str:
        """The name of the cookie that holds the token."""
        return f"zs_seg_studio_{self.port}"

    def has_token(self, given: str) -> bool:
        """Compare a token in a time that does not depend on where it differs. True where no token is needed."""
        return not self.token or hmac.compare_digest(given.encode(), self.token.encode())

    def refusal(self, headers: Headers) -> str:
        """Return why a request with these headers is refused, in one sentence; empty when it is not.

        A page of another site reaches this server under a name of its own, when that name resolves to this machine
        (DNS rebinding), or sends an Origin that is not this server's.
        """
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            named = quoted(hosts[0]) if hosts else "no host"
            return f"a request for {named} is refused: open {self._shown_link} in the browser"
        if origins and origins != [f"http://{hosts[0]}"]:
            return f"a request of a page from {quoted(origins[0])} is refused: open {self._shown_link} in the browser"
        return ""

    @property
    def _shown_link(self) -> str:
        return self.link.partition("?")[0]

    def _is_own(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port or parts.netloc != host or "@" in host:
            return False
        if is_loopback(self.host):
            return name in _LOOPBACK
        own = socket.gethostname().lower()
        return name in {self.host.strip("[]").lower(), own, f"{own}.local"} or _is_address(name)


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine reach an address."""
    return host.strip("[]").lower() in _LOOPBACK


def _is_address(name: str) -> bool:
    """Whether it is an IP address: no name server can point it elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return True


class Guard:
    """ASGI middleware that lets requests through which `Access` accepts, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or forward it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = self._answer(scope)
        if answer is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(_REFUSED_CODE)(scope, receive, send)
        else:
            await answer(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> ASGIApp | None:
        """Return the answer to a request that is not forwarded."""
        headers = Headers(scope=scope)
        if reason := self._access.refusal(headers):
            return PlainTextResponse(reason, 421 if "request for" in reason else 403)
        if self._access.has_token(_cookie(headers, self._access.cookie)):
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and self._access.has_token(given):
            # The token leaves the address line, where histories and screenshots would keep it.
            moved = RedirectResponse("/", 303)
            moved.set_cookie(self._access.cookie, given, httponly=True, samesite="strict")
            return moved
        return PlainTextResponse(
            "This studio needs its token: open the link that it printed at its start.", 401
        )


def _cookie(headers: Headers, name: str) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return sending
