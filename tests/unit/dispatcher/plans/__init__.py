"""Plan sources, on real folders and against a server that misbehaves on cue."""
