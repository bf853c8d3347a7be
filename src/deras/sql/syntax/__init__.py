"""Flink SQL text to syntax tree and back."""
