"""`--compare torch`: the same network trained by minigrad and by PyTorch."""
