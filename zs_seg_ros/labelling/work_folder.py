"""Where the work lies until it is done: OUT.partial, beside OUT."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from zs_seg_ros.errors import LabellingError
from zs_seg_ros.labelling.messages import serialised, vocabulary_message
from zs_seg_ros.labelling.plan import LabelRequest

_LAYOUT = 1
"""Of this folder and of the parts in it; one more when they change."""
_UNFINISHED = ".new"


def describe(request: LabelRequest) -> dict[str, str]:
    """All that the results depend on, by names for people: a run goes on only with parts of the same."""
    words = hashlib.sha256(serialised(vocabulary_message(request.vocabulary))).hexdigest()
    settings = request.settings
    return {
        "layout": str(_LAYOUT),
        "recordings": json.dumps([_state(folder) for folder in request.bags]),
        "--classes": words,
        "--model": request.model,
        "--revision": request.options.revision,
        "--device": request.options.device,
        "--precision": request.options.precision,
        "--threshold": str(settings.default_threshold),
        "--min-area": str(settings.min_area),
        "--max-objects": str(settings.max_objects),
        "--no-track": str(not settings.track),
        "--cameras": " ".join(request.cameras),
        "--depth": str(request.depth),
        "--format": request.form,
        "--slice": str(request.frames_per_slice),
    }


def _state(folder: Path) -> list[str | int]:
    """A recording that was written to meanwhile is another one."""
    files = sorted(folder.iterdir())
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return [str(folder.resolve()), *(item for state in states for item in state)]


class WorkFolder:
    """The folder of one job, which one process works in at a time; use it with `open_work_folder`."""

    def __init__(self, out: Path, folder: Path) -> None:
        self._out = out
        self._folder = folder

    def part(self, name: str, number: int) -> Path:
        """Where the results of a slice of the recording `name` go."""
        return self._folder / "slices" / name / f"{number:06}"

    @contextmanager
    def result(self, name: str) -> Iterator[Path]:
        """A place for the result of the recording `name`; it counts when the block ends well."""
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
        return self._finished(name).is_dir()

    def hand_over(self, names: list[str]) -> None:
        """All results become OUT, and the work folder goes away."""
        results = self._folder / "finished"
        _sync(results)
        (results / names[0] if len(names) == 1 else results).rename(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def open_work_folder(request: LabelRequest) -> Iterator[WorkFolder]:
    """The folder beside OUT, new or with the parts of an earlier run.

    Raises LabellingError when OUT exists, when the folder holds parts of another job, and when another process works
    in it.
    """
    out = request.out.absolute()
    if os.path.lexists(out):
        raise LabellingError(
            f"{out} exists already; name a new place for the result, after the recordings"
        )
    folder = out.with_name(out.name + ".partial")
    with told_in_words(out):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            _lock(lock, out)
            _check_job(folder, describe(request))
            for left_behind in (folder / "slices").glob(f"*/*{_UNFINISHED}"):
                shutil.rmtree(left_behind, ignore_errors=True)
            try:
                yield WorkFolder(out, folder)
            finally:
                if not _holds_results(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _lock(file: TextIO, out: Path) -> None:
    """The kernel lets go of it when this process ends, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LabellingError(
            f"another zs-seg label is at work on {out}; wait for it, or name another place"
        ) from None


def _holds_results(folder: Path) -> bool:
    parts = (part for part in folder.glob("slices/*/*") if part.suffix != _UNFINISHED)
    return any(parts) or any(folder.glob("finished/*"))


def _check_job(folder: Path, job: Mapping[str, str]) -> None:
    file = folder / "job.json"
    if not _holds_results(folder):
        new = file.with_suffix(_UNFINISHED)
        new.write_text(json.dumps(job, indent=1), encoding="utf-8")
        _sync_file(new)
        new.rename(file)
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    others = [name for name in job if job[name] != before.get(name)]
    if others:
        raise LabellingError(
            f"{folder} holds a part of the same work, done with other {', '.join(others)}; give the same arguments "
            "to go on, or remove that folder to begin anew"
        )


@contextmanager
def whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A folder name to write under; what is there gets the name `target` when the block ends well.

    Its name is no other's: a worker that was thought lost may be writing the same part.
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
def told_in_words(out: Path) -> Iterator[None]:
    """Errors of writing become LabellingError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        raise LabellingError(
            f"{out} cannot be written: {reason}{where}; the same command goes on when that is put right"
        ) from error


def _sync(folder: Path) -> None:
    """Onto the disk, so that no name outlives its content when the power fails."""
    for path in [*folder.rglob("*"), folder, folder.parent]:
        _sync_file(path)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
