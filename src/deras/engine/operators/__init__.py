"""Deras: engine/operators."""
