# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Configurations of earlier releases of transformers, which name an image encoder instead of describing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from zs_seg_ros.errors import ModelError
from zs_seg_ros.segmenters.shared.checkpoint import read_config
from zs_seg_ros.segmenters.shared.timm_package import require_timm
from zs_seg_ros.shown import quoted

_LEGACY = ("backbone", "use_timm_backbone", "backbone_kwargs", "use_pretrained_backbone")
_TIMM_KINDS = {"timm_backbone": "backbone", "timm_wrapper": "architecture"}
"""Kinds of image encoders of timm, and the key of the name of each."""
_WITH_DEFAULT = "omdet-turbo"
"""The kind whose image encoder is one of timm where its configuration does not describe any."""


def local_config(kind: type[PreTrainedModel], model: str, folder: Path) -> PreTrainedConfig | None:
    """Build the configuration of a checkpoint that names its image encoder; None where transformers reads it right.

    transformers asks the hub at every load whether the name is that of a repository. With `use_timm_backbone` it is one
    of timm's, and `backbone_kwargs` describe it. Raises ModelError for a name outside timm, whose description would be
    downloaded, and where timm is needed and not installed.
    """
    settings = read_config(model, folder)
    changed = _describe_encoders(model, settings)
    if _uses_timm(model, changed):
        require_timm(model)
    return kind.config_class.from_dict(changed) if changed != settings else None


def _describe_encoders(model: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings in which each name of an image encoder, at any depth, is a `backbone_config`."""
    changed = {
        key: _describe_encoders(model, value) if isinstance(value, dict) else value
        for key, value in settings.items()
    }
    name = changed.get("backbone")
    if changed.get("model_type") in _TIMM_KINDS or not isinstance(name, str):
        return changed
    arguments = changed.get("backbone_kwargs") or {}
    if changed.get("model_type") == _WITH_DEFAULT and not arguments:
        return changed  # transformers has a description of its own for it
    if changed.get("backbone_config") is None:
        if changed.get("use_timm_backbone", True) is not True:
            raise ModelError(
                f"the config.json of {model} names the image encoder {quoted(name, 100)} of the Hugging Face hub "
                "(backbone) and does not describe it (backbone_config), and nothing is downloaded at run time; give a "
                "checkpoint that describes it"
            )
        changed["backbone_config"] = {"model_type": "timm_backbone", "backbone": name, **arguments}
    return {key: value for key, value in changed.items() if key not in _LEGACY}


def _uses_timm(model: str, settings: dict[str, Any]) -> bool:
    """Return whether an image encoder is one of timm. Raises ModelError for a name that timm would download."""
    kind = settings.get("model_type")
    if kind == _WITH_DEFAULT and settings.get("backbone_config") is None:
        return settings.get("use_timm_backbone", True) is not False
    key = _TIMM_KINDS.get(str(kind))
    if key is not None and ":" in str(settings.get(key)):
        raise ModelError(
            f"the config.json of {model} names the image encoder {quoted(str(settings[key]), 100)}, which timm would "
            "read from elsewhere, and nothing is downloaded at run time; give a checkpoint with a name of timm's own"
        )
    inner = [_uses_timm(model, value) for value in settings.values() if isinstance(value, dict)]
    return key is not None or any(inner)
