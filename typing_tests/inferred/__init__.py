"""The types of calls, as users see them."""
