"""Model trees: which root an upload descends from, declared or recovered from its weights."""
