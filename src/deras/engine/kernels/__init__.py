"""Deras: engine/kernels."""
