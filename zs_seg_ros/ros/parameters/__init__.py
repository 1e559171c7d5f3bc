"""The parameters of segmentation_node: a table that describes them; declaration, validation and reading by it."""
