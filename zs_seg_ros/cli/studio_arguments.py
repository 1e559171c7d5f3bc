# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The options of the executable `studio`, and those that `zs-seg studio` shares with it."""

from __future__ import annotations

import argparse
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zs_seg_ros.errors import StudioError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.shown import quoted, shown

if TYPE_CHECKING:
    from zs_seg_ros.studio.access import Access

DEFAULT_PORT = 8642
_LAST_PORT = 65535
_TOKEN_BYTES = 24
_NODE_NAME = r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
_HELP = """\
Serve a page for the browser beside a running node: images with masks, the vocabulary to edit, diagnostics.

Only this machine can open the page. To open it from another one, forward the port:
  ssh -L 8642:127.0.0.1:8642 ROBOT
or give --host, which needs a token: the link that is printed has it.

Exit code: 0 after ctrl-C, 2 when an argument is wrong or the address is in use.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the studio's own arguments. Wrong ones raise SystemExit(2) (argparse)."""
    parser = argparse.ArgumentParser(
        prog="studio",
        usage="studio [OPTION ...] [--ros-args ...]",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--node",
        type=_node_name,
        default="/zs_seg",
        metavar="NAME",
        help="full name of the node to show (default: /zs_seg)",
    )
    add_save_option(parser)
    add_address_options(parser)
    return parser.parse_args(arguments)


def add_address_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the address that the page is served on."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1); any other machine's way to it needs the token",
    )
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help=f"port (default: {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--token",
        default="",
        help="token that browsers must have, at least 16 characters (default: a new one where --host is not loopback)",
    )


def add_save_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of the folder of labelled frames."""
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FOLDER",
        help="folder for frames that are accepted in the page, with COCO annotations (default: none are saved)",
    )


def access_of(arguments: argparse.Namespace) -> Access:
    """Return the address and the token of parsed arguments.

    Raises StudioError for a token that is too short, and where the packages of the server are not installed.
    """
    try:
        from zs_seg_ros.studio.access import Access, is_loopback
    except ImportError as error:
        raise StudioError(
            "the studio needs starlette, uvicorn and websockets, which are not installed; run: "
            f"{install_command('starlette', 'uvicorn', 'websockets')} ({shown(error)})"
        ) from error
    token = arguments.token
    if not token and not is_loopback(arguments.host):
        token = secrets.token_urlsafe(_TOKEN_BYTES)
    return Access(arguments.host, arguments.port, token)


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is out of range: 1 to {_LAST_PORT}")
    return number


def _node_name(text: str) -> str:
    if not re.fullmatch(_NODE_NAME, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not the name of a node")
    return text if text.startswith("/") else f"/{text}"
