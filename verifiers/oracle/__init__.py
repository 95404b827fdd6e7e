"""Symbolic comparison by sympy, in a process that can be killed."""
