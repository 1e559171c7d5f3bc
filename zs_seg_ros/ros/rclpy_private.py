"""Every use of private API of rclpy, with its reason and its public replacement.

Checked against Humble, Jazzy and Kilted. No other module uses a private name of rclpy.
"""

from __future__ import annotations

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState
from rclpy.node import Node

InvalidHandle = rclpy_implementation.InvalidHandle
"""Raised by an executor's wait when a subscription is destroyed meanwhile, and by a publisher that is destroyed.

rclpy exports no public name for it; `rclpy.exceptions` is where one would stand.
"""


def lifecycle_state(node: LifecycleNode) -> LifecycleState:
    """Return the state that the node is in.

    A node can only ask itself through its own GetState service; rclcpp has `get_current_state()`, which rclpy lacks.
    """
    number, label = node._state_machine.current_state
    return LifecycleState(state_id=number, label=label)


def given_parameters(node: Node) -> list[str]:
    """Name the parameters that files, the command line and arguments give for this node, declared or not.

    A node can list only what it declares (or declare all that is given, with automatically_declare_...).
    """
    return list(node._parameter_overrides)


def destroy_state_machine(node: LifecycleNode) -> None:
    """Destroy the state machine of a node that is destroyed itself.

    LifecycleNode.destroy_node forgets it. It would keep the DDS participant alive, whose shared memory then stays
    behind after a clean end. Not needed any more once destroy_node does it.
    """
    node._state_machine.destroy_when_not_in_use()
