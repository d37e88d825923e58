"""The networks of the labs on images.

Each file imports minigrad and nothing else, and of minigrad only what PyTorch has, too: with `minigrad` renamed to
`torch` in its imports, the same file is the network in PyTorch.
"""
