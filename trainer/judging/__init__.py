"""How good a version is, and whether it is better than the one in service."""
