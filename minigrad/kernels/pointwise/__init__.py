"""Kernels that read each element once: functions and arithmetic, sums, softmax, losses."""
