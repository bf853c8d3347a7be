"""Deras: solutions."""
