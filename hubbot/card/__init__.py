"""README text in, README text out."""
