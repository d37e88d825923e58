"""Parts of lab 7: layers of one's own, and residual blocks."""
