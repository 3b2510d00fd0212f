"""Conversations: what a request may say, how a model likes to be asked, what is thinking and what answer."""
