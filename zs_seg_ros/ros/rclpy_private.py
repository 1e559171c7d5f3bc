# Copyright 2026 zs_seg_ros developers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software distributed under the License is distributed
# on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the License for
# the specific language governing permissions and limitations under the License.

"""Every use of private API of rclpy, with its reason and its public replacement.

Checked against Humble, Jazzy and Kilted, and against the stubs of rclpy after Lyrical's release, also those of its
proposed change to nanobind. No other module uses a private name of rclpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from rclpy.context import Context
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.node import Node
from rclpy.parameter import Parameter


class SubscriptionWait:
    """Waits for messages of subscriptions, as `rclpy.wait_for_message` does for a single message of one.

    An executor is the public replacement; it waits for the whole node.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._woken = rclpy_implementation.GuardCondition(context.handle)

    def wake(self) -> None:
        """End the present or the next wait."""
        self._woken.trigger_guard_condition()

    def destroy(self) -> None:
        """Free the guard condition, which would keep the context alive."""
        self._woken.destroy_when_not_in_use()

    def ready(self, subscriptions: Sequence[Any], timeout_s: float) -> list[Any]:
        """Return the subscriptions that have messages, as soon as one has, `wake` is called or the time is over.

        Raises rclpy.exceptions.InvalidHandle when one of them is destroyed.
        """
        with ExitStack() as handles:
            for handle in (self._woken, *(subscription.handle for subscription in subscriptions)):
                handles.enter_context(handle)
            wait_set = rclpy_implementation.WaitSet(
                len(subscriptions), 1, 0, 0, 0, 0, self._context.handle
            )
            wait_set.clear_entities()
            wait_set.add_guard_condition(self._woken)
            for subscription in subscriptions:
                wait_set.add_subscription(subscription.handle)
            wait_set.wait(int(timeout_s * 1e9))
            pointers = wait_set.get_ready_entities("subscription")
            return [each for each in subscriptions if each.handle.pointer in pointers]


def take(subscription: Any) -> Any:
    """Return the next message of a subscription, as bytes if it is a raw one; None without a message."""
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    return None if taken is None else taken[0]


def lifecycle_state(node: LifecycleNode) -> LifecycleState:
    """Return the state that the node is in.

    A node can only ask itself through its own GetState service; rclcpp has `get_current_state()`, which rclpy lacks.
    """
    number, label = node._state_machine.current_state
    return LifecycleState(state_id=number, label=label)


def valid_transitions(node: LifecycleNode) -> dict[int, str]:
    """Return ids and labels of the transitions that exist in the state that the node is in.

    rclpy gives them through the GetAvailableTransitions service only; rclcpp has `get_available_transitions()`.
    """
    return {
        transition[0]: transition[1] for transition in node._state_machine.available_transitions
    }


def given_parameters(node: Node) -> dict[str, Any]:
    """Return names and values of what files, the command line and arguments give for this node, declared or not.

    A node can list only what it declares (or declare all that is given, with automatically_declare_...). An rclpy that
    names its record otherwise still has the call that fills it, which knows files and the command line.
    """
    if hasattr(node, "_parameter_overrides"):
        given = node._parameter_overrides
    else:
        with node.handle:
            given = node.handle.get_parameters(Parameter)
    return {name: parameter.value for name, parameter in given.items()}


def destroy_state_machine(node: LifecycleNode) -> None:
    """Destroy the state machine of a node that is destroyed itself.

    LifecycleNode.destroy_node forgets it. It would keep the DDS participant alive, whose shared memory then stays
    behind after a clean end. Not needed any more once destroy_node does it.
    """
    node._state_machine.destroy_when_not_in_use()
