"""`--compare torch`: the same networks trained by minigrad and by PyTorch."""
