"""The GPU's kernels: CUDA sources (``*.cu``) and, beside each, the pairs that launch them on CuPy arrays.

They serve float32 and float64 arrays. CuPy compiles a source when it is first used (by NVRTC, a second or so) and keeps
the result in its own cache on disk. What a pair does not take runs by the textbook, on CuPy.
"""
