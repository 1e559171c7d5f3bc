"""Makes the folder `.work/NAME`: a virtual environment, and the package built in it."""
