"""Predicting from tables with values missing not at random: the study behind results/supervised."""

from pyro_mnar.studies.supervised.study import report, reproduce_supervised, supervised_study

__all__ = ["report", "reproduce_supervised", "supervised_study"]
