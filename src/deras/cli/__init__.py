"""Deras: cli."""
