"""Four sets of test scenes with meshes, looks and a renderer of their own, which no code of training imports."""
