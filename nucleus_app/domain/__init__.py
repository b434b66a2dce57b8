"""Vocabulary and arithmetic of the clinic: no files, no torch, no SQL, no web."""
