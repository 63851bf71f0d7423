"""Codes for sums, one idea a file."""
