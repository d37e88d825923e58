"""Kernels of matrix products and linear layers: ``choose.py`` says which one serves a shape."""
