"""Mistakes that type checkers find before the program runs."""
