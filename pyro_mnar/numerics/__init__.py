"""Mathematics that knows no model: normal tails, mask integrals, row distributions, sources of noise."""
