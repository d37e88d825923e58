"""A lab run for every cell of a grid of settings (labs/sweep.py)."""
