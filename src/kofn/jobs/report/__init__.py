"""What happened, as text and as a picture."""
