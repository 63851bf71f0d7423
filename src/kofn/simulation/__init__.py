"""When would it be done: models of delay, virtual time, closed forms."""
