"""Matrices that need not fit into memory: read by pieces, cut, combined and joined."""
