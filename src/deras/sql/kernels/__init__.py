"""Deras: sql, kernels of functions."""
