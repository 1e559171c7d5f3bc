"""Measures segmentations against ground truth: `zs-seg evaluate`."""
