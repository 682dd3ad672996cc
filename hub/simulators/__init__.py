"""Portals that answer like the real ones, each in a process of its own. They share no code with what they test."""
