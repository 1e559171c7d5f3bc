# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Parser of untrusted YAML: lists, mappings, texts and numbers, with limits on size and depth."""

from __future__ import annotations

from typing import Any

import yaml

from zs_seg_ros.errors import YamlError
from zs_seg_ros.shown import quoted, shown

MOST_BYTES = 64 << 20
MOST_NODES = 300_000
"""Room for 65533 names with their ids and for 1000 classes of 32 prompts."""
MOST_DEPTH = 32
_LONGEST_NUMBER = 40
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"


def parse_user_yaml(text: str) -> Any:
    """Return the value of one YAML document: dict, list, str, int, float, bool or None; None for an empty one.

    Aliases, anchors and tags are refused, so that a value is never larger than its text; so are keys that occur twice,
    more than MOST_BYTES, MOST_NODES and MOST_DEPTH, and numbers of more than 40 characters. What looks like a date is
    text. Raises YamlError for every other text.
    """
    try:
        if len(text) > MOST_BYTES or len(text.encode()) > MOST_BYTES:
            raise YamlError(f"it has more than {MOST_BYTES >> 20} MiB")
        builder = _Builder()
        for event in yaml.parse(text, Loader=_LOADER):
            builder.add(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" in line {mark.line + 1}" if mark is not None else ""
        raise YamlError(f"it is no YAML: {shown(error.problem or 'unreadable')}{place}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise YamlError(f"it is no YAML: {shown(error) or type(error).__name__}") from error
    return builder.document


class _Builder:
    """Builder of a value from the parser's events, which refuses anchors, aliases and tags before they are composed."""

    def __init__(self) -> None:
        self.document: Any = None
        self._open: list[
            Any
        ] = []  # the lists and mappings that are not yet closed, the outermost first
        self._keys: list[Any] = []  # of those that are mappings: the key whose value comes next
        self._nodes = self._documents = 0
        self._resolver = yaml.SafeLoader("")
        self._line = 0

    def add(self, event: Any) -> None:
        self._line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise self._refused("an alias (*)", "write it out")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise self._refused("a second document (---)", "keep one")
        elif isinstance(event, yaml.NodeEvent):
            self._check(event)
            if isinstance(event, yaml.ScalarEvent):
                self._put(self._scalar(event))
            elif isinstance(event, yaml.SequenceStartEvent):
                self._put_open([])
            else:
                self._put_open({})
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()

    def _check(self, event: Any) -> None:
        if event.anchor is not None:
            raise self._refused("an anchor (&)", "write it out")
        if event.tag is not None:
            raise self._refused(f"the tag {shown(event.tag)}", "leave it out")
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise YamlError(f"it has more than {MOST_NODES} values")

    def _put_open(self, collection: list[Any] | dict[Any, Any]) -> None:
        self._put(collection)
        self._open.append(collection)
        self._keys.append(_NO_KEY)
        if len(self._open) > MOST_DEPTH:
            raise YamlError(
                f"it is nested more than {MOST_DEPTH} levels deep, which line {self._line} is"
            )

    def _put(self, value: Any) -> None:
        if not self._open:
            self.document = value
        elif isinstance(self._open[-1], list):
            self._open[-1].append(value)
        elif self._keys[-1] is _NO_KEY:
            if isinstance(value, list | dict):
                raise self._refused("a list or mapping as a key", "use a text")
            if value in self._open[-1]:
                raise self._refused(f"the key {quoted(value)} twice", "keep one")
            self._keys[-1] = value
        else:
            self._open[-1][self._keys[-1]] = value
            self._keys[-1] = _NO_KEY

    def _scalar(self, event: Any) -> Any:
        """Return the value that PyYAML's SafeLoader gives, except dates: dumped values are read back unchanged."""
        text = event.value
        if not event.implicit[0]:
            return text  # it has quotes
        tag = self._resolver.resolve(yaml.ScalarNode, text, (True, False))
        if tag in (f"{_TAG}int", f"{_TAG}float") and len(text) > _LONGEST_NUMBER:
            raise self._refused(f"a number of {len(text)} characters", "write it shorter")
        node = yaml.ScalarNode(tag, text)
        try:
            if tag == f"{_TAG}int":
                return self._resolver.construct_yaml_int(node)
            if tag == f"{_TAG}float":
                return self._resolver.construct_yaml_float(node)
        except (ValueError, OverflowError) as error:
            raise self._refused(f"the number {quoted(text)}", "mend it") from error
        if tag == f"{_TAG}bool":
            return self._resolver.construct_yaml_bool(node)
        return None if tag == f"{_TAG}null" else text

    def _refused(self, what: str, remedy: str) -> YamlError:
        return YamlError(f"line {self._line} has {what}; {remedy}")


_NO_KEY = object()
