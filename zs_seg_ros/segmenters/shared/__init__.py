"""Steps that several model families share."""
