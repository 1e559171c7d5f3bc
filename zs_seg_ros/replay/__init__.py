"""The parts of `replay_test` that need no ROS: frames of a bag, golden files, comparison, verdict, reports."""
