"""Deras: sql, functions."""
