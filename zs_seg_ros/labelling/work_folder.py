# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The folder OUT.partial, beside OUT, which keeps finished parts of a job until everything is finished."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zs_seg_ros.errors import FileError, LabellingError
from zs_seg_ros.files import open_in_place, read_regular_file, write_output
from zs_seg_ros.labelling.messages import serialised, vocabulary_message
from zs_seg_ros.labelling.plan import LabelRequest
from zs_seg_ros.shown import quoted, shown

_LAYOUT = 1
"""The version of the layout of this folder and the parts in it; increased with each change."""
_UNFINISHED = ".new"
_FOLDERS, _FILES = ("unfinished", "finished", "slices"), ("job.json", "lock")
_TEMPORARY = r"\.zs_seg_[0-9a-f]+\.new"
_MOST_JOB_BYTES = 16 << 20


def describe(request: LabelRequest) -> dict[str, str]:
    """Return all values that the results depend on, by option; a run continues only parts with equal values."""
    vocabulary = hashlib.sha256(serialised(vocabulary_message(request.vocabulary))).hexdigest()
    settings = request.settings
    return {
        "layout": str(_LAYOUT),
        "recordings": json.dumps([_state(folder) for folder in request.bags]),
        "--classes": vocabulary,
        "--model": request.model,
        "--revision": request.options.revision,
        "--device": request.options.device,
        "--precision": request.options.precision,
        "--engine": " ".join((request.options.engine, *request.options.providers)),
        "--input-size": f"{request.options.inference_size}+{request.options.mask_inference_size}",
        "--threshold": str(settings.default_threshold),
        "--min-area": str(settings.min_area),
        "--max-objects": str(settings.max_objects),
        "--no-track": str(not settings.track),
        "--cameras": " ".join(request.cameras),
        "--depth": str(request.depth),
        "--format": request.output_format,
        "--slice": str(request.frames_per_slice),
    }


def _state(folder: Path) -> list[str | int]:
    """Return path, sizes and modification times, which change when the bag is written to."""
    files = sorted(folder.iterdir()) if folder.is_dir() else [folder]
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return [str(folder.resolve()), *(item for state in states for item in state)]


class WorkFolder:
    """The folder of one job, used by one process at a time; open it with `open_work_folder`."""

    def __init__(self, out: Path, folder: Path) -> None:
        self._out = out
        self._folder = folder

    def part(self, name: str, number: int) -> Path:
        """Return the folder for the results of a slice of the bag `name`."""
        return self._folder / "slices" / name / f"{number:06}"

    @contextmanager
    def result(self, name: str) -> Iterator[Path]:
        """Yield a new path for the result of the bag `name`, which is finished when the block ends without error."""
        unfinished = self._folder / "unfinished" / name
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(exist_ok=True)
        yield unfinished
        _sync(unfinished)
        target = self._finished(name)
        target.parent.mkdir(exist_ok=True)
        unfinished.rename(target)
        shutil.rmtree(self._folder / "slices" / name)

    def _finished(self, name: str) -> Path:
        return self._folder / "finished" / name

    def is_finished(self, name: str) -> bool:
        """Return whether the result of the bag `name` is finished."""
        return self._finished(name).is_dir()

    def publish(self, names: list[str]) -> None:
        """Move all results to OUT, and remove the work folder."""
        results = self._folder / "finished"
        _sync(results)
        (results / names[0] if len(names) == 1 else results).rename(self._out)
        _remove(self._folder)


@contextmanager
def open_work_folder(request: LabelRequest) -> Iterator[WorkFolder]:
    """Open the folder beside OUT, new or with the parts of an earlier run.

    Raises LabellingError when OUT exists, when the folder holds parts of another job, when another process uses
    it, and when the block cannot write.
    """
    out = request.out.absolute()
    if os.path.lexists(out):
        raise LabellingError(
            f"{out} exists already; name a new place for the result, after the recordings"
        )
    folder = out.with_name(out.name + ".partial")
    with write_errors_as_labelling_errors(out):
        folder.mkdir(parents=True, exist_ok=True)
        _check_ours(folder)
        with open_in_place(folder / "lock") as lock:
            _lock(lock, out)
            _check_job(folder, describe(request))
            for unfinished in (folder / "slices").glob(f"*/*{_UNFINISHED}"):
                shutil.rmtree(unfinished, ignore_errors=True)
            try:
                yield WorkFolder(out, folder)
            finally:
                if not _holds_results(folder):
                    _remove(folder)


def _lock(file: BinaryIO, out: Path) -> None:
    """Lock the job for this process; the kernel releases the lock when the process ends in any way."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(file.fileno()).st_nlink:  # its last holder removed it since
            raise BlockingIOError
    except BlockingIOError:
        raise LabellingError(
            f"another zs-seg label is writing {out}; wait for it, or name another place"
        ) from None


def _check_ours(folder: Path) -> None:
    """Raise LabellingError unless the folder is empty or holds only files of an earlier run.

    The folder is removed when the job is finished.
    """
    names = {entry.name for entry in folder.iterdir()}
    foreign = sorted(
        name for name in names - {*_FOLDERS, *_FILES} if not re.fullmatch(_TEMPORARY, name)
    )
    if folder.is_symlink() or foreign:
        what = f"holds {quoted(foreign[0])}" if foreign else "is a symbolic link"
        raise LabellingError(
            f"{folder}, the place for unfinished work, {what} and is left as it is; move it, or name another result"
        )
    if "lock" in names and (folder / "lock").lstat().st_size:
        raise _foreign(folder)
    if names & set(_FOLDERS) or "job.json" in names:
        _job_in(folder)


def _job_in(folder: Path) -> dict[str, str]:
    try:
        job = json.loads(read_regular_file(folder / "job.json", _MOST_JOB_BYTES))
        if isinstance(job, dict) and "layout" in job:
            return job
    except (FileNotFoundError, ValueError, RecursionError):
        pass
    raise _foreign(folder)


def _foreign(folder: Path) -> LabellingError:
    return LabellingError(
        f"{folder}, the place for unfinished work, is not from zs-seg label, or is damaged, and is left as it is; "
        "move it, or name another result"
    )


def _remove(folder: Path) -> None:
    """Remove this job's files, job.json last, and the folder if it is then empty."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        for name in _FILES:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()


def _holds_results(folder: Path) -> bool:
    parts = (part for part in folder.glob("slices/*/*") if part.suffix != _UNFINISHED)
    return any(parts) or any(folder.glob("finished/*"))


def _check_job(folder: Path, job: Mapping[str, str]) -> None:
    if not _holds_results(folder):
        write_output(folder / "job.json", json.dumps(job, indent=1).encode())
        return
    earlier = _job_in(folder)
    different = [name for name in job if job[name] != earlier.get(name)]
    if different:
        raise LabellingError(
            f"{folder} holds parts of an earlier run with other {', '.join(different)}; give the same arguments "
            "to continue it, or remove that folder to start again"
        )


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Yield a path for a new folder, which is renamed to `target` when the block ends without error.

    The path is unique, as a worker that was considered lost may still be writing the same part.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f"{target.name}-{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        yield folder
        _sync(folder)
        if not target.is_dir():
            folder.rename(target)
            _sync_file(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def write_errors_as_labelling_errors(out: Path) -> Iterator[None]:
    """Turn errors of writing, such as a full disk, into LabellingError."""
    try:
        yield
    except FileError as error:
        raise LabellingError(
            f"{error}; the same command continues when that is corrected"
        ) from error
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or shown(error, 300)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        raise LabellingError(
            f"{out} cannot be written: {reason}{where}; correct that, and the same command continues"
        ) from error


def _sync(folder: Path) -> None:
    """Flush files and folders to the disk, so that after a power failure no name exists without its content."""
    for path in [*folder.rglob("*"), folder, folder.parent]:
        _sync_file(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
