"""Ground that knows no code and no engine."""
