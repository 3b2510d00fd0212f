"""Programs that measure the real thing and print what they found; no part of the package."""
