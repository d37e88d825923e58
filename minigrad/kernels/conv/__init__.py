"""Kernels of convolutions: ``choose.py`` says which one serves a shape."""
