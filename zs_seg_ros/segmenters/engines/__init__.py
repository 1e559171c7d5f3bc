"""Engines besides torch that compute parts of a network."""
