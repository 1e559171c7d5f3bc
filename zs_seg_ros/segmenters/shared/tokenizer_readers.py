# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The packages that transformers needs to read a tokenizer.model, which not every installation has."""

from __future__ import annotations

import importlib

_READERS = {"sentencepiece": "sentencepiece", "google.protobuf": "protobuf"}
"""The modules, and the packages that have them."""


def missing_readers() -> list[str]:
    """List the packages that are missing to read a tokenizer.model."""
    return [package for module, package in _READERS.items() if not _can_import(module)]


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
