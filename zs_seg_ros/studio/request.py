# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

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
