# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The tokenizer of a TIPSv2 checkpoint."""

from __future__ import annotations

from pathlib import Path

from transformers.models.tipsv2.tokenization_tipsv2 import Tipsv2Tokenizer

from zs_seg_ros.errors import ModelError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.shared.pretrained import load_tokenizer, quiet
from zs_seg_ros.segmenters.shared.tokenizer_readers import missing_readers


def load_tipsv2_tokenizer(model: str, folder: Path) -> Tipsv2Tokenizer:
    """Load tokenizer.json or, where only that exists, the authors' own tokenizer.model.

    Raises ModelError when there is neither, one is damaged, or packages that the second needs are missing.
    """
    path = folder / "tokenizer.model"
    if (folder / "tokenizer.json").is_file() or not path.is_file():
        return load_tokenizer(Tipsv2Tokenizer, model, folder)
    missing = missing_readers()
    if missing:
        raise ModelError(
            f"the tokenizer of {model} exists as {path} only, which needs {' and '.join(missing)}; "
            f"run: {install_command(*missing)}"
        )
    try:
        with quiet():
            return Tipsv2Tokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # sentencepiece and protobuf raise many types; each means damage
        raise ModelError(
            f"the tokenizer of {model} in {path} cannot be read ({type(error).__name__}); fetch it again"
        ) from error
