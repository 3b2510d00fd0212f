"""Answers that follow a JSON schema."""
