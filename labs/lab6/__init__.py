"""Parts of lab 6, kernel size and depth of convolutional networks."""
