"""Model files: GGUF headers, memory preflight, loading, downloads."""
