"""Reads the pages of the documentation as sessions and runs what they show."""
