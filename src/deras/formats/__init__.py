"""Deras: formats."""
