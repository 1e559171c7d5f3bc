"""Checkpoints of real architectures with random weights, for tests and benchmarks.

They are written and loaded the way real ones are, and need no download. What they answer means nothing. One family
a file: its published shape, a small one, and how it is written.
"""
