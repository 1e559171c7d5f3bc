"""Bags (rosbag2 recordings), read and played without ROS."""
