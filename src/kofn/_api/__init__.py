"""The public calls: thin, each a way of saying what is to be computed."""
