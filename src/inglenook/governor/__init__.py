"""Keeps the box cool and within its memory."""
