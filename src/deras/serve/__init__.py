"""Deras: serve."""
