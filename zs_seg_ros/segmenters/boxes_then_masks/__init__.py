"""A detector followed by a mask model that takes boxes."""
