"""Detection limits on real values: what lies below them, by this package and by what laboratories do."""
