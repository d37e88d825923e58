"""Parts of lab 4, LeNet-5 on MNIST."""
