"""What a model thinks, told from what it answers: the forms there are, and their parsers."""
