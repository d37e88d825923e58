"""The optimizers' rules, each in one pass over a parameter."""
