"""One request of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zs_seg_ros.studio.client import Client
from zs_seg_ros.studio.hub import Hub


@dataclass(frozen=True)
class Request:
    """One request. message: its JSON object. parts: the bytes behind it."""

    hub: Hub
    client: Client
    message: Mapping[str, Any]
    parts: Mapping[str, bytes]


Answer = dict[str, Any] | tuple[dict[str, Any], dict[str, bytes]]
"""The fields of the answer and, for a binary one, its parts."""
