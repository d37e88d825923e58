"""Kernels of normalization: statistics of a batch (``batch.py``) and of a sample (``sample.py``)."""
