"""Deras: testing."""
