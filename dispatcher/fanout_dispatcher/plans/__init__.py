"""Where plans come from: manifests in a folder, or what an operator wrote into a cluster."""
