# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Start, spinning and shutdown of every executable of this package; ctrl-C and SIGTERM end it with exit code 0."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future

import rclpy
from rclpy.exceptions import InvalidHandle, ParameterException
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor, ShutdownException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from zs_seg_ros.shown import described, shown, traced

_THREADS = 6
_PATIENCE_S = 0.7
_LONGEST_END_S = 2.7
"""People press ctrl-C again after three seconds, and launch sends SIGTERM after five."""


def run(make_node: Callable[[], Node], ended: Future[int] | None = None) -> None:
    """Spin a node in a thread of its own until a signal is received, then destroy it and shut down rclpy.

    ended: for a node that ends by itself; its result is the exit code.
    """
    stop = threading.Event()
    ended = ended or Future()
    # The system may deliver a signal to any thread of DDS, and a lock that the main thread waits for would
    # not notice: it waits for the byte that Python then writes here.
    wake_up, bell = socket.socketpair()
    bell.setblocking(False)
    signal.set_wakeup_fd(bell.fileno())
    # Explicit, because a shell that starts us in the background leaves SIGINT ignored.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: None)
    node = _started(make_node)
    executor = MultiThreadedExecutor(num_threads=_THREADS)
    executor.add_node(node)

    def spin() -> None:
        _spin(executor, node, stop)
        bell.send(b"\0")

    ended.add_done_callback(lambda _: bell.send(b"\0"))
    spinning = threading.Thread(target=spin, daemon=True)
    spinning.start()
    wake_up.recv(1)
    stop.set()

    def shut_down() -> None:
        executor.shutdown(timeout_sec=_PATIENCE_S)
        spinning.join(_PATIENCE_S)
        node.destroy_node()
        rclpy.try_shutdown()

    # A callback that still loads a model may hold all this up, and the interpreter's own end as well.
    ending = threading.Thread(target=shut_down, daemon=True)
    ending.start()
    ending.join(_LONGEST_END_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended.result() if ended.done() else 0)


def _started(make_node: Callable[[], Node]) -> Node:
    """Initialise rclpy and create the node. Parameter files or values that are refused end the process with code 1."""
    try:
        rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
        return make_node()
    except ParameterException as error:
        problem = f"a parameter has a wrong value at the start: {shown(error, 500)}"
    except Exception as error:  # rcl's own error has no public type
        if "params file" not in shown(error, 300) and "arguments" not in shown(error, 300):
            raise
        problem = f"the parameter file or the ROS arguments are refused: {shown(error, 500)}; correct them"
    print(problem, file=sys.stderr, flush=True)
    # Kilted's shutdown, also that at the interpreter's end, would destroy a node that is only half created.
    os._exit(1)


def _spin(executor: MultiThreadedExecutor, node: Node, stop: threading.Event) -> None:
    """Spin; an exception that leaves a callback, also of a service of rclpy, is logged, and spinning continues."""
    while not stop.is_set() and rclpy.ok():
        try:
            executor.spin()
        except (ExternalShutdownException, ShutdownException):
            break
        except InvalidHandle:
            continue  # a race in rclpy: a subscription was destroyed during the wait; no message is lost
        except Exception as error:
            if stop.is_set():  # the executor is shut down during its wait
                break
            node.get_logger().error(f"a request was dropped: {described(error)}\n{traced(error)}")
