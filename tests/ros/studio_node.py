# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""The studio's node in this process, beside the node under test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rclpy.exceptions import InvalidHandle
from rclpy.executors import MultiThreadedExecutor
from studio_clients import free_port

from zs_seg_ros.ros.studio.studio import Studio
from zs_seg_ros.studio.access import Access
from zs_seg_ros.studio.labelled_frames import LabelledFrames


@contextmanager
def running_studio(
    of: str = "/zs_seg", port: int = 0, labelled: LabelledFrames | None = None
) -> Iterator[Access]:
    """A studio of a node, on a free port or the given one. Yields the address of its page."""
    access = Access("127.0.0.1", port or free_port())
    studio = Studio(of, access, labelled)
    executor = MultiThreadedExecutor(num_threads=4)
    executor.add_node(studio)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            with suppress(InvalidHandle):  # a subscription was destroyed during the wait
                executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield access
    finally:
        studio.destroy_node()
        stop.set()
        thread.join()
        executor.shutdown(timeout_sec=5.0)
