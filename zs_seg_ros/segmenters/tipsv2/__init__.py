"""TIPSv2."""
