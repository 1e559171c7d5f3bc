# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Who reaches the studio: this machine's browsers, and others with the token; no page of another site."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from studio_clients import StandIn, free_port, get, page
from websockets.exceptions import InvalidHandshake, InvalidStatus

from zs_seg_ros.errors import StudioError
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.app import PAGE
from zs_seg_ros.studio.server import StudioServer

TOKEN = "a-token-of-many-characters"


@pytest.fixture
def guarded(source: StandIn) -> Iterator[StudioServer]:
    """A studio that listens on all addresses, with a token."""
    server = StudioServer(source, Access("0.0.0.0", free_port(), TOKEN))
    yield server
    server.stop()


def test_the_page_and_its_files_are_served_to_this_machine(studio: StudioServer) -> None:
    response = get(studio.access)
    assert response.status == 200
    for path in set(re.findall(r'"(/page/[\w.]+)"', response.text)):
        assert get(studio.access, path).status == 200, path


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_each_name_of_this_machine_is_accepted(studio: StudioServer, name: str) -> None:
    assert get(studio.access, headers={"host": f"{name}:{studio.access.port}"}).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:PORT",
     "evil@127.0.0.1:PORT", "localhost.:PORT", "", "[::1", "127.0.0.1:PORT:PORT", "192.168.1.9:PORT"],
)  # fmt: skip
def test_a_foreign_host_is_refused(studio: StudioServer, host: str) -> None:
    given = host.replace("PORT", str(studio.access.port))
    response = get(studio.access, headers={"host": given})
    assert response.status == 421
    assert f"open http://127.0.0.1:{studio.access.port}/ in the browser" in response.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://localhost:PORT"]
)
def test_a_page_of_a_foreign_origin_is_refused(studio: StudioServer, origin: str) -> None:
    given = origin.replace("PORT", str(studio.access.port))
    response = get(studio.access, headers={"Origin": given})
    assert response.status == 403
    assert "open http://127.0.0.1" in response.text
    with pytest.raises(InvalidStatus), page(studio.access, {"Origin": given}):
        pass


def test_a_socket_of_the_own_page_is_accepted(studio: StudioServer) -> None:
    with page(studio.access, {"Origin": f"http://127.0.0.1:{studio.access.port}"}) as own:
        own.wait_for("status")


def test_a_socket_for_a_foreign_host_is_refused(studio: StudioServer) -> None:
    with pytest.raises(InvalidHandshake), page(studio.access, {"Host": "evil.example"}):
        pass


# --- the token ---


def test_without_the_token_nothing_is_served(guarded: StudioServer) -> None:
    for path in ("/", "/page/main.js", "/?token=wrong-token-of-many-chars", "/?token="):
        response = get(guarded.access, path)
        assert response.status == 401
        assert "open the link that it printed at its start" in response.text
    with pytest.raises(InvalidStatus), page(guarded.access):
        pass
    with pytest.raises(InvalidStatus), page(guarded.access, {"Cookie": "zs_seg_studio_1=x"}):
        pass


def test_the_link_with_the_token_opens_the_page_and_leaves_the_address_line(
    guarded: StudioServer,
) -> None:
    path = "/" + guarded.access.link.partition("/?")[2].join(("?", ""))
    response = get(guarded.access, path)
    assert response.status == 303 and response.getheader("Location") == "/"
    cookie = str(response.getheader("Set-Cookie"))
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    headers = {"Cookie": cookie.partition(";")[0]}
    assert get(guarded.access, "/", headers).status == 200
    with page(guarded.access, headers) as own:
        own.wait_for("status")


def test_the_token_does_not_help_a_foreign_page(guarded: StudioServer) -> None:
    headers = {"Cookie": f"{guarded.access.cookie}={TOKEN}", "Origin": "http://evil.example"}
    assert get(guarded.access, "/", headers).status == 403
    with pytest.raises(InvalidStatus), page(guarded.access, headers):
        pass
    rebound = {**headers, "host": f"evil.example:{guarded.access.port}"}
    assert get(guarded.access, "/", rebound).status == 421


def test_other_machines_need_a_token() -> None:
    with pytest.raises(StudioError, match=r"'0\.0\.0\.0' can be reached by other machines"):
        Access("0.0.0.0", 8642)


def test_a_short_token_is_refused_without_being_shown() -> None:
    with pytest.raises(StudioError, match="a token of 6 characters is refused") as error:
        Access("127.0.0.1", 8642, "secret")
    assert "secret" not in str(error.value)


def test_an_address_in_use_is_refused_in_one_sentence(studio: StudioServer) -> None:
    with pytest.raises(StudioError, match=r"cannot be used .*: end what uses it"):
        StudioServer(StandIn(), studio.access)


# --- what is served ---


@pytest.mark.parametrize(
    "path",
    ["/page/../access.py", "/page/..%2faccess.py", "/page/%2e%2e/access.py", "/page//etc/passwd",
     "/page/....//access.py", "/../../../../etc/passwd", "/page/main.js%00.html", "/page/", "/live"],
)  # fmt: skip
def test_only_files_of_the_page_are_served(studio: StudioServer, path: str) -> None:
    response = get(studio.access, path)
    assert response.status == 404 and "import" not in response.text


def test_nothing_of_the_page_runs_but_its_own_files(studio: StudioServer) -> None:
    for path in ("/", "/page/main.js", "/page/nothing"):
        response = get(studio.access, path)
        policy = str(response.getheader("content-security-policy"))
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert "unsafe" not in policy and "*" not in policy and "frame-ancestors 'none'" in policy
        assert response.getheader("x-content-type-options") == "nosniff"
        assert response.getheader("server") is None


def test_the_page_asks_no_other_host_and_sets_texts_as_texts() -> None:
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), file
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert sink not in text, f"{file}: {sink}"
        if file.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", text)
