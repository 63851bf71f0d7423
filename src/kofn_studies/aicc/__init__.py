"""Learned codes of Agrawal et al. 2022, trained as published."""
