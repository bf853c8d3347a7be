"""From SQL text to a dataflow."""
