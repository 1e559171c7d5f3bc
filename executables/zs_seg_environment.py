# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Finds the Python environment that `install_dependencies` made, for the executables beside this file.

Only the standard library is imported, and little of it: this runs before every executable.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType

VARIABLE = "ZS_SEG_ENVIRONMENT"
COMPLETE = "zs_seg_ros_environment"
"""A file in the environment, written when everything is installed: what it was installed from."""
PACKAGES = ("cv2", "huggingface_hub", "lz4", "mcap", "numpy", "PIL", "rosbags", "safetensors", "starlette", "torch",
            "tqdm", "transformers", "uvicorn", "websockets", "yaml", "zstandard")  # fmt: skip
OWN_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
REMEDY = "run `ros2 run zs_seg_ros install_dependencies`"


def environment_folder() -> str:
    """Return the folder of the environment for the package's Python, whether it is there or not."""
    if folder := os.environ.get(VARIABLE):
        return os.path.abspath(folder)
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return os.path.join(data, "zs_seg_ros", package_python())


def package_python() -> str:
    """Return the name of the Python that the package was built for, for example python3.12.

    A virtual environment or conda that is active can bring another one, which runs this file then.
    """
    for folder in sys.path:  # …/lib/python3.12/site-packages
        name = os.path.basename(os.path.dirname(folder))
        if name.startswith("python3.") and os.path.isdir(os.path.join(folder, "zs_seg_ros")):
            return name
    return OWN_PYTHON


def enter_environment() -> None:
    """Run the executable again by the environment's Python, in the same process, where there is one.

    So it is in a virtual environment of something else that is active, too. Packages that are missing then end the
    executable in one sentence.
    """
    folder = environment_folder()
    python = os.path.join(folder, "bin", "python")
    complete = os.path.isfile(os.path.join(folder, COMPLETE)) and os.path.exists(python)
    if complete and not os.path.samefile(sys.prefix, folder):
        os.execv(python, [python, *sys.argv])
    sys.excepthook = _explain_missing_packages


def _explain_missing_packages(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    name = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name in PACKAGES:
        print(
            f"The Python package of the module {name} is not installed: {REMEDY}.", file=sys.stderr
        )
        return
    sys.__excepthook__(kind, error, trace)
