"""From frames to scenes: frame slots, inference in a worker thread, post-processing to detections, tracks and 3-D."""
