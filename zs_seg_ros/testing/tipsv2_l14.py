# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The large TIPSv2 with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zs_seg_ros.testing.tipsv2 import published_tipsv2_l14_config, with_templates, write_tipsv2


def write_published(folder: Path, words: Sequence[str]) -> None:
    """Write google/tipsv2-l14 with random weights; the words of its templates are one token each, too."""
    write_tipsv2(folder, published_tipsv2_l14_config(), words=with_templates(words))
