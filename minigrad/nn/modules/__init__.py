"""The layers, a file a family. ``minigrad.nn`` lists them all."""
