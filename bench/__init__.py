"""What Fanout costs, measured against what one would write without it; README.md says how."""
