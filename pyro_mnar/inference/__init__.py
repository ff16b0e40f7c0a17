"""Train the model, and ask it: weights, the bound, training, and the posterior."""
