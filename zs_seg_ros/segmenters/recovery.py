# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Errors of segmenters that ran out of memory, turned into those that name the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zs_seg_ros.segmenters.base import Segmenter


@contextmanager
def recovering(segmenter: Segmenter[Any]) -> Iterator[None]:
    """Let the segmenter free memory after an error, and replace the error by one that names the remedy."""
    try:
        yield
    except Exception as error:
        explained = segmenter.recover(error)
        if explained is error:
            raise
        raise explained from None
