"""Conditional writes with an outcome: single, in transactions and in bulk."""
