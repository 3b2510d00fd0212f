"""How fast answers are: the daemon beside llama.cpp's own server and the raw limit."""
