"""The dispatcher: accepts events over HTTP and delivers each to every target of its route."""
