"""Conversations to prompt tokens, by the model's own chat template."""
