# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The process that evaluates and tunes, held until a test lets it go on: `python -m held_measure`.

It goes on once there is the file that the environment variable `HELD_UNTIL` names.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from zs_seg_ros.studio import measure


def _held(load: Any) -> Any:
    def loaded(*arguments: Any) -> Any:
        while not Path(os.environ["HELD_UNTIL"]).exists():
            time.sleep(0.01)
        return load(*arguments)

    return loaded


if __name__ == "__main__":
    measure.load_segmenter = _held(measure.load_segmenter)  # type: ignore[assignment]
    measure.load_model = _held(measure.load_model)  # type: ignore[assignment]
    measure.main()
