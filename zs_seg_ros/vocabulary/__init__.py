"""Target classes, their prompts and ids, and files that hold them."""
