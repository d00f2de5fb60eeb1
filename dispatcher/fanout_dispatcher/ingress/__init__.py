"""The data port: HTTP/1.1 of our own, from bytes on a socket to an event in the engine's hands and back to a 202."""
