"""Deras: engine."""
