"""The command `zs-seg`: segment pictures and fetch models, without ROS."""
