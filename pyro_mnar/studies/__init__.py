"""Declarative studies and the one runner that executes them; the only writer of results/."""
