"""Lists, lazy and in order."""
