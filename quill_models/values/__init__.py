"""Errors, times, keys, checks and canonical text, independent of a table."""
