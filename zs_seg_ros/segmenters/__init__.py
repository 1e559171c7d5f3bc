"""Model families, and the registry that loads them."""
