"""Published figures, training studies and the demo: what uses kofn as anybody would."""
