"""Conversations: what may be asked, how a model likes it, what is thinking and what answer."""
