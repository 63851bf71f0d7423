"""The mathematics: (G, T), priors, decoding. Nothing here knows a task."""
