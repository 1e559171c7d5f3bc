"""Image, depth and camera_info messages to arrays and intrinsics."""
