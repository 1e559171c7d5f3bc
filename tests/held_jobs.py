# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Jobs of the studio that run until a test lets them end, however fast the machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from zs_seg_ros.studio import measure_request

MODULE = "held_measure"


def hold_jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have the processes of jobs wait before they load the model. They go on once the returned path is a file."""
    go = tmp_path / "go"
    monkeypatch.setenv("HELD_UNTIL", str(go))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    monkeypatch.setattr(measure_request, "_MODULE", MODULE)
    return go
