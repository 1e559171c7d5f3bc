"""From frames to scenes: slots, worker, pipeline, objects, tracks, positions."""
