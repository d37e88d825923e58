"""Kernels of pooling: ``choose.py`` says which one serves a window."""
