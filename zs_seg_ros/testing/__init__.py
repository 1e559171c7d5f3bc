"""Checkpoints of real architectures with random weights, and transformers' own pipelines, for tests and benchmarks."""
