# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Sizes of what pip would download. Only the standard library is imported."""

from __future__ import annotations

import json
import os
import urllib.parse
import urllib.request
from pathlib import Path


def described_size(report: Path) -> str:
    """Return number and size of the packages in a report of `pip install --dry-run --report`."""
    items = json.loads(report.read_text())["install"]
    sizes = [size_of(item["download_info"]["url"]) for item in items]
    unknown = sizes.count(None)
    total = sum(size for size in sizes if size is not None) / 1e6
    rest = f", and {unknown} of unknown size" if unknown else ""
    return f"{len(items) - unknown} packages, {total:.1f} MB in all{rest}"


def size_of(url: str) -> int | None:
    """Return the size in bytes of a file on the disk or on a server; None where it is not known."""
    parts = urllib.parse.urlsplit(url)
    try:
        if parts.scheme == "file":
            return os.stat(urllib.request.url2pathname(parts.path)).st_size
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None
