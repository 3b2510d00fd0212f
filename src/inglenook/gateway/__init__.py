"""The front door: WebSocket, HTTP, pairing and the built-in page."""
