"""A user's table in and out: its columns and their kinds, the model's scale and back, and files."""
