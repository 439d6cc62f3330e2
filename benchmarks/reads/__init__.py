"""How fast a list is read, beside today's alternatives."""
