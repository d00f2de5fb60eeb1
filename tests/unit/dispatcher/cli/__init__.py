"""The command line, against a real admin port."""
