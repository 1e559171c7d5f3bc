"""The built-in dense embedding model."""
