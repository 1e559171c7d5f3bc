# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Reads metadata.yaml of a rosbag2 folder: a file that anyone may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zs_seg_ros.errors import YamlError
from zs_seg_ros.files import read_regular_file
from zs_seg_ros.user_yaml import parse_user_yaml

_MOST_BYTES = 16 << 20
"""Each split of a recording takes about 250 bytes of the file, and each topic 1000."""


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the content of metadata.yaml, with the types of the fields that are used checked.

    Counts are not used. Raises YamlError, FileError, OSError and UnicodeDecodeError where it cannot be read.
    """
    content = parse_user_yaml(read_regular_file(path, _MOST_BYTES).decode())
    inner = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    if not isinstance(inner, dict):
        raise YamlError("it has no mapping named rosbag2_bagfile_information")
    if not _is_list(inner.get("relative_file_paths"), _is_name):
        raise YamlError("its relative_file_paths are not a list of texts")
    if not _is_list(inner.get("topics_with_message_count") or [], _is_topic):
        raise YamlError(
            "its topics_with_message_count are not a list of topics with names and types"
        )
    if not isinstance(inner.get("custom_data") or {}, dict):
        raise YamlError("its custom_data is not a mapping")
    return inner


def _is_list(value: object, is_entry: Any) -> bool:
    return isinstance(value, list) and all(map(is_entry, value))


def _is_name(value: object) -> bool:
    return isinstance(value, str | int | float)  # a name of digits is a number in YAML


def _is_topic(entry: object) -> bool:
    topic = entry.get("topic_metadata") if isinstance(entry, dict) else None
    return isinstance(topic, dict) and _is_name(topic.get("name")) and _is_name(topic.get("type"))
