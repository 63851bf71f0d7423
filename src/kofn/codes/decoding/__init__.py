"""From the rows that arrived to the targets: one call, several estimators."""
