"""The ROS side of `replay_test`: the node under test, frames published to it, and its results received."""
