"""Deras: views."""
