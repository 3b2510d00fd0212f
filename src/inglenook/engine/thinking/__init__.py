"""Separates a model's thoughts from its answers: the forms of thoughts, and their parsers."""
