"""Deras: .."""
