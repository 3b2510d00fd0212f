"""The door: WebSocket, HTTP and the page."""
