"""Inglenook: the household's own language model."""

__version__ = "0.1.0"
