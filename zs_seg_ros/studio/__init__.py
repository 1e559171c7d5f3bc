"""The studio: a page for the browser that shows images with masks and changes the vocabulary, beside a running node."""
