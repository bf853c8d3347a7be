"""Deras: core."""
