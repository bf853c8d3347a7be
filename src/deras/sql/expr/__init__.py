"""Deras: sql, expr."""
