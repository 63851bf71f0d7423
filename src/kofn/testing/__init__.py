"""Batteries of checks for codes and engines of one's own."""
