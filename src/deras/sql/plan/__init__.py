"""Deras: sql, plan."""
