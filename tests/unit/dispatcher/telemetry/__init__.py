"""What the dispatcher says of itself."""
