"""What a worker that is free is given."""
