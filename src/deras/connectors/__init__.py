"""Deras: connectors."""
