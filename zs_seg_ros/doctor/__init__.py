"""Checks of a machine before the node runs on it: `zs-seg doctor`."""
