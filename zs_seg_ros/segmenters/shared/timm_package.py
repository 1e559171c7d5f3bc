# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The package timm, which has the image encoders of OmDet-Turbo's and EdgeTAM's published checkpoints.

timm imports torchvision for its datasets and transforms, which no model here uses. PyPI's torchvision fails beside a
torch for CPUs alone and replaces it, so that timm is imported without torchvision where that is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from transformers.utils import import_utils, is_torchvision_available

from zs_seg_ros.errors import ModelError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.shown import described

_TORCHVISION = (
    "torchvision",
    "torchvision.datasets",
    "torchvision.models",
    "torchvision.models.feature_extraction",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "torchvision.utils",
)
"""The modules of torchvision that timm's modules import."""


def require_timm(model: str) -> None:
    """Import timm for the image encoder of a checkpoint. Raises ModelError where it is not installed or fails."""
    if importlib.util.find_spec("timm") is None:
        raise ModelError(
            f"the image encoder of {model} is of the package timm, which is not installed; "
            f"run: {install_command('timm')}"
        )
    try:
        if is_torchvision_available():
            importlib.import_module("timm")
        else:
            with _placeholders():
                timm = importlib.import_module("timm")
            _offer_to_transformers(timm)
    except Exception as error:  # an import raises anything: PyPI's torchvision a RuntimeError
        raise ModelError(
            f"the image encoder of {model} is of the package timm, which cannot be imported ({described(error)}); "
            f"it needs no torchvision here, so that one that does not fit torch may be uninstalled, and timm "
            f"installed with: {install_command('timm')}"
        ) from error


def _offer_to_transformers(timm: ModuleType) -> None:
    """Let transformers use timm, which it counts as missing wherever torchvision is not installed."""
    import_utils.BACKENDS_MAPPING["timm"] = (lambda: True, "")
    models = "transformers.models"
    for name in ("timm_backbone.modeling_timm_backbone", "timm_wrapper.modeling_timm_wrapper"):
        setattr(importlib.import_module(f"{models}.{name}"), "timm", timm)  # noqa: B010
    wrapper = importlib.import_module(f"{models}.timm_wrapper.configuration_timm_wrapper")
    for name in ("ImageNetInfo", "infer_imagenet_subset"):
        setattr(wrapper, name, getattr(timm.data, name))


class _AnyName(type):
    """The type of classes that have every attribute, for the members of enumerations."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _add_class(cls, name)


class _Placeholder(ModuleType):
    """A module in which every name is a class without instances."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _add_class(self, name)


def _add_class(owner: Any, name: str) -> Any:
    made = _AnyName(name, (), {})
    setattr(owner, name, made)
    return made


@contextmanager
def _placeholders() -> Iterator[None]:
    """While the block runs, `import torchvision` yields modules of which every name is an unused class."""
    modules = {name: _Placeholder(name) for name in _TORCHVISION}
    for name, module in modules.items():
        module.__path__ = []
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(modules[parent], child, module)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]
