# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Texts of launch arguments, for all launch files."""

from __future__ import annotations

from zs_seg_ros.shown import quoted

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def is_true(name: str, text: str) -> bool:
    """Return whether an argument is true. Raises RuntimeError for neither true nor false."""
    if text.lower() not in (*_TRUE, *_FALSE):
        raise RuntimeError(f"{name} is {quoted(text, 200)}: write true or false")
    return text.lower() in _TRUE
