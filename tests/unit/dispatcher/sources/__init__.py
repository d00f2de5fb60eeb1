"""What routes fetch by themselves."""
