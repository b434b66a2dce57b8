"""Reports: one value that holds every number, and its formats."""
