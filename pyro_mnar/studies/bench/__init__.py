"""How fast the package is: against a hand-written loop, against another implementation, and as sizes grow.

Every figure is a ratio of two sides that ran in turns, in one process with one thread, so that whatever else the
machine does falls on both. ``python -m pyro_mnar.studies.bench`` writes ``results/speed/summary.csv``.
"""
