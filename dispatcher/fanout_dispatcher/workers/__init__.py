"""A dispatcher of several processes: a supervisor that opens its ports, and workers that accept and deliver."""
