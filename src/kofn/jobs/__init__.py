"""From a scheme to an answer: what is prepared, how a run goes, what it reports."""
