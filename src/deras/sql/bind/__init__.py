"""Deras: sql, bind."""
