"""Image messages to arrays."""
