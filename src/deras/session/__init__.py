"""Deras: session."""
