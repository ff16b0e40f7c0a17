"""pyro_mnar: deep generative models for data that are missing because of their own values."""

__version__ = "0.1.0"
