"""Flink SQL text to syntax tree and back.

The doors are ``parser`` (text to tree), ``printer`` (tree to text), ``ast`` (all nodes) and ``dialect`` (what is not
Flink's).
"""
