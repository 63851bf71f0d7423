"""Codes for matrix products, one idea a file."""
