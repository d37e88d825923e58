"""Rows of a table, read and added up by number."""
