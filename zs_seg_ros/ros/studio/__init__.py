"""The executable `studio`: a client of a running node, as any other, that serves a page for the browser."""
