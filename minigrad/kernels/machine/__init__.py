"""What all kernels share: compiling and keeping them, threads, memory, vectors and tiles, launching on GPUs."""
