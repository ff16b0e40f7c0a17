"""Look at a fitted model, check it, compare it, vary its assumptions, and pool what follows from its imputations."""
