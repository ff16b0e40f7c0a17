"""The field study: how each method does on tables and masks that differ, where a user does not know the mechanism."""
