"""What it costs that somebody may listen, and what it costs when somebody does."""
