"""The study of mixed tables: counts, piles, caps, ordered and unordered levels, as people have them."""
