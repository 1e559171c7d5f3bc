# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Detection of models whose outputs are NaN or infinite, on the trial image before a model is used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from zs_seg_ros.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

_required: ContextVar[bool] = ContextVar("finite outputs required", default=False)


@contextmanager
def finite_outputs_required() -> Iterator[None]:
    """Make `check_finite` raise in this thread and within the block."""
    token = _required.set(True)
    try:
        yield
    finally:
        _required.reset(token)


def check_finite(outputs: Tensor) -> None:
    """Raise ModelError in the trial when outputs hold NaN or infinity; in other images such a pixel stays unlabelled.

    Minus infinity is allowed: some models mark with it what is impossible.
    """
    if _required.get() and bool((outputs.isnan() | (outputs == math.inf)).any()):
        raise ModelError(
            "the model's outputs are not finite numbers: its weights are damaged, or precision is too low for them; "
            "fetch it again, or set precision to fp32"
        )
