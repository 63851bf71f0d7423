"""Codes for function values, one idea a file."""
