"""The model p(z) p(x|z) p(s|x) p(y|x) and its guide, and the parts that plug into them."""
