"""What the columns of a table are: declared or found, with a model for each kind and the way back to its own values."""
