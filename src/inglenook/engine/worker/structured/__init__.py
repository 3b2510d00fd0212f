"""Structured output: answers that follow a JSON schema."""
