"""Text encoders: words in, unit vectors out."""
