"""The command `zs-seg`: segment images and fetch models, without ROS."""
