"""Selection under errors with heavy tails: what is estimated by models with normal errors and with those of a t."""
