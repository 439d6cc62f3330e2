"""Conditional writes with an outcome, one by one, in transactions and in bulk."""
