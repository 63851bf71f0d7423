"""Times of sum recovery and rateless codes, and the field that counts exactly."""
