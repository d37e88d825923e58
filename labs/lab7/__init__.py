"""Parts of lab 7, custom layers and residual blocks."""
