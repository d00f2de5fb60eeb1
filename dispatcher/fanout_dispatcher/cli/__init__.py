"""The command line: run a dispatcher, check manifests, send events, see what became of them."""
