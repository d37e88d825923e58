"""Looking into a model from outside: what it costs, which module made which op, and how to leave it as it was."""
