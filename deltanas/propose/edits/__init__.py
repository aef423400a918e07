"""Typed edits of a network's source text; each keeps the shapes that it can see consistent."""
