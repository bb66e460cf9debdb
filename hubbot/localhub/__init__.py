"""A Hub on loopback: repos as commits in a folder, served over HTTP to unmodified clients."""
