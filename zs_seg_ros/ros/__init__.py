"""The ROS 2 side: nodes, topics, services and parameters. Nothing outside this folder imports rclpy."""
