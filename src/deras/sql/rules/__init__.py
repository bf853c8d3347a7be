"""Deras: sql, rules."""
