"""Attention: ``tiles.py`` computes it without the matrix of all queries and keys."""
