"""Where training starts: one plan per column, from the observed cells and the number of missing ones alone."""
