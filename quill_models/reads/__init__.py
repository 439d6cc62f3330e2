"""Lazy, ordered lists."""
