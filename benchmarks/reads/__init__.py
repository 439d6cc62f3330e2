"""Speed of reading a list, compared with the alternatives."""
