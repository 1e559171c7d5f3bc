# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""`zs-seg studio`: the studio without a node, with a model in this process."""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from zs_seg_ros.cli.shared_options import Subparsers, add_command, add_model_options
from zs_seg_ros.cli.studio_arguments import access_of, add_address_options, add_save_option
from zs_seg_ros.perception.pipeline import Settings
from zs_seg_ros.segmenters.load_options import LoadOptions
from zs_seg_ros.vocabulary.vocabulary import Vocabulary

_HELP = """\
Serve the studio, a page for the browser, without a node: a model in this process segments images or the frames of a
recording that are chosen in the page. The vocabulary is edited there, and exported as a file for the node.

Exit code: 0 after ctrl-C, 2 when nothing could be shown.
"""


def add_studio(subparsers: Subparsers) -> None:
    """Add the command to the parser of `zs-seg`."""
    studio = add_command(
        subparsers,
        "studio",
        run,
        "edit a vocabulary in the browser, on images or a recording",
        _HELP,
    )
    studio.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="images, folders of images, or a recording",
    )
    studio.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME",
        help="a camera of the recording, also NAME=TOPIC[,DEPTH,INFO] (default: all); may be repeated",
    )
    studio.add_argument("--vocabulary", metavar="FILE", help="the vocabulary to begin with")
    add_model_options(studio.add_argument)
    studio.add_argument(
        "--against",
        metavar="MODEL",
        help="another model, to compare on the same image (default: none)",
    )
    add_save_option(studio)
    add_address_options(studio)


def run(arguments: argparse.Namespace) -> int:
    """Serve the page until a signal ends it, and return the exit code. Raises ZeroShotSegmentationError."""
    # Imported here: the other commands need no server.
    from zs_seg_ros.studio.labelled_frames import LabelledFrames
    from zs_seg_ros.studio.model_source import ModelSource, NamedModel
    from zs_seg_ros.studio.server import StudioServer
    from zs_seg_ros.studio.stills import stills_of

    access = access_of(arguments)
    stills = stills_of(arguments.paths, arguments.camera)
    size, mask_size = arguments.input_size
    options = LoadOptions(
        arguments.device,
        arguments.precision,
        arguments.revision,
        inference_size=size,
        mask_inference_size=mask_size,
    )
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for results; a library may print
        model = NamedModel(arguments.model, options, _vocabulary(arguments.vocabulary))
        other = None if not arguments.against else NamedModel(arguments.against, options, None)
    settings = Settings(default_threshold=arguments.threshold)
    labelled = None if arguments.save is None else LabelledFrames(arguments.save)
    source = ModelSource(model, stills, settings, other)
    with _signals() as received:
        server = StudioServer(source, access, {}, labelled)
        print(f"open {access.link} in a browser; ctrl-C ends it", flush=True)
        received.recv(1)
        server.stop()
    return 0


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """Give a socket on which a byte arrives for SIGINT and SIGTERM, which do nothing else within the block.

    As in `ros.process`: the system may deliver a signal to any thread, and a lock that the main thread waits for would
    not notice.
    """
    received, sent = socket.socketpair()
    with received, sent:
        sent.setblocking(False)
        before = signal.set_wakeup_fd(sent.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        try:
            yield received
        finally:
            signal.set_wakeup_fd(before)


def _vocabulary(path: str | None) -> Vocabulary | None:
    from zs_seg_ros.vocabulary.vocabulary_file import read_vocabulary_file

    return None if path is None else read_vocabulary_file(path)
