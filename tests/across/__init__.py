"""Tests of what is no single file's: every op, every kernel, whole programs, the documents."""
