"""Parts of lab 6: networks that differ in the size of their kernels or in their depth."""
