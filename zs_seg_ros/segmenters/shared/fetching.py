# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Downloads of checkpoints from the Hugging Face hub, whose list of files is checked first."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from zs_seg_ros.errors import ModelError
from zs_seg_ros.optional_packages import install_command
from zs_seg_ros.segmenters.shared.checkpoint import FILES, is_hub_id
from zs_seg_ros.segmenters.shared.tokenizer_readers import missing_readers
from zs_seg_ros.shown import quoted, shown

_MOST_PROPOSALS = 10
"""Proposed changes of a repository whose files are listed in the search for safetensors."""
_OF_THE_DISK = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENOENT),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
}
"""Errors of a folder that cannot be written or is full; those of a network have other numbers or none."""


@dataclass(frozen=True)
class Download:
    """A checkpoint that can be downloaded. revision: a branch, tag, commit or proposal, '' for the newest."""

    model: str
    revision: str

    def run(self) -> Path:
        """Download the files that a checkpoint is loaded from, resuming an earlier download; return their folder.

        Raises ModelError when the download fails.
        """
        try:
            folder = snapshot_download(
                self.model, revision=self.revision or None, allow_patterns=FILES
            )
        except (
            Exception
        ) as error:  # the hub raises many kinds; each means that there is no download
            raise _refused(self.model, self.revision, error) from error
        return _with_safetensors(self.model, Path(folder))


def check_download(model: str, revision: str = "") -> Download:
    """Read the list of a repository's files and raise ModelError where no checkpoint can be loaded from them.

    The check is left out where the hub cannot be reached, since a complete download may be on the disk.
    """
    if not is_hub_id(model):
        raise ModelError(
            f"{quoted(model, 300)} is no Hugging Face id; give one such as CIDAS/clipseg-rd64-refined, or two with a + "
            "between them"
        )
    try:
        names = _names(model, revision)
    except HfHubHTTPError as error:
        raise _refused(model, revision, error) from error
    except Exception:  # no network: the download reports it, unless all files are on the disk
        return Download(model, revision)
    _check_access(model, revision)
    if "config.json" not in names:
        raise ModelError(
            f"{model} is no checkpoint of transformers: it has no config.json; look for one whose name ends in -hf, or "
            "that its authors name for transformers"
        )
    if not any(name.endswith(".safetensors") and "/" not in name for name in names):
        raise _without_safetensors(model, names)
    missing = missing_readers()
    if "tokenizer.model" in names and "tokenizer.json" not in names and missing:
        raise ModelError(
            f"the tokenizer of {model} exists as tokenizer.model only, which needs {' and '.join(missing)}; nothing "
            f"was downloaded; run: {install_command(*missing)}"
        )
    return Download(model, revision)


def _check_access(model: str, revision: str) -> None:
    """Raise ModelError where this user may list the files of a model, which are public, and not download them."""
    try:
        HfApi().auth_check(model)
    except GatedRepoError as error:
        raise _refused(model, revision, error) from error
    except Exception:  # a hub without this check; the download reports what it lacks
        return


def _names(model: str, revision: str) -> set[str]:
    """Return the names of a repository's files."""
    siblings = HfApi().model_info(model, revision=revision or None).siblings or []
    return {file.rfilename for file in siblings}


def _without_safetensors(model: str, names: set[str]) -> ModelError:
    start = f"{model} has no weights as safetensors, and pickled ones are never loaded"
    proposal = _proposal_with_safetensors(model)
    if proposal:
        return ModelError(
            f"{start}; its revision {proposal} has them, a proposal that its owner has not accepted, so that its "
            f"author may be anyone: fetch it with zs-seg fetch {model} --revision {proposal}"
        )
    if any(name.endswith(".bin") for name in names):
        return ModelError(
            f"{start}; download the folder with: hf download {model} --local-dir FOLDER, and convert them with: "
            "zs-seg convert FOLDER"
        )
    return ModelError(f"{start}; choose another model, or another --revision of this one")


def _proposal_with_safetensors(model: str) -> str:
    """Return a proposed revision that has weights as safetensors; '' where none of the first has."""
    try:
        refs = HfApi().list_repo_refs(model, include_pull_requests=True).pull_requests or []
        proposals = sorted((ref.ref for ref in refs), key=lambda ref: (len(ref), ref))
        for proposal in proposals[:_MOST_PROPOSALS]:
            if any(name.endswith(".safetensors") for name in _names(model, proposal)):
                return proposal
    except Exception:  # an older hub, or a proposal that is gone
        return ""
    return ""


def _refused(model: str, revision: str, error: Exception) -> ModelError:
    """Say why the hub gave no files, and what to do."""
    page = f"https://huggingface.co/{model}"
    log_in = "log in (hf auth login, or a token in HF_TOKEN)"
    if isinstance(error, GatedRepoError):
        return ModelError(
            f"{model} is given on request only: ask for access on {page}, wait until it is granted, {log_in} as the "
            "same user, and try again"
        )
    if isinstance(error, RevisionNotFoundError):
        return ModelError(
            f"{model} has no revision {quoted(revision, 100)}; its branches, tags and commits are on {page}/commits"
        )
    if isinstance(error, RepositoryNotFoundError):
        return ModelError(
            f"the Hugging Face hub has no model {model}, or it is private: check the spelling, owner and capitals "
            f"included, or {log_in} as a user who may read it"
        )
    if _caused_by_offline(error):
        return ModelError(
            f"{model} could not be downloaded, since HF_HUB_OFFLINE is set in the environment; unset it and try again"
        )
    of_disk = _disk_error(error)
    if of_disk:
        return ModelError(
            f"{model} could not be written into {shown(constants.HF_HUB_CACHE, 300)} ({of_disk}); make room there, or "
            "name a folder with room that this user may write with HF_HOME"
        )
    reason = ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])
    return ModelError(
        f"{model} could not be downloaded ({shown(reason, 500)}); check the name, the network and the disk, and try "
        "again"
    )


def _disk_error(error: BaseException) -> str:
    """Return the system's words for the error of a disk among an error and its causes; '' where there is none."""
    for each in _with_causes(error):
        if isinstance(each, OSError) and each.errno in _OF_THE_DISK:
            return os.strerror(each.errno)
    return ""


def _caused_by_offline(error: BaseException) -> bool:
    return any(isinstance(each, OfflineModeIsEnabled) for each in _with_causes(error))


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _with_safetensors(model: str, folder: Path) -> Path:
    """Return the folder. Raises ModelError where it has no safetensors, as an old download on the disk may."""
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{model} has no weights as safetensors, and pickled ones are never loaded; choose another "
            "model, or another --revision of this one"
        )
    return folder
