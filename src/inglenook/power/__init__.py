"""Sleep when idle, and waking: logind, magic packets, the clock's alarm."""
