"""Training scenes without shortcuts: shapes, patterns, surfaces and light drawn at random for every kind."""
