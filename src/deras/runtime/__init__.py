"""Deras: runtime."""
