"""Parts of lab 5, convolutions against dense layers."""
