"""What `replay_test` is made of and needs no ROS for: reading frames, golden files, comparing, reporting."""
