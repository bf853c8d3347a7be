"""Deras: engine/state."""
