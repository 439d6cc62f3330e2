"""Plain values: errors, times, keys, checks, canonical text. They know nothing of a table."""
