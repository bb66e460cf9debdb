"""Text search over what was read: numpy only, knows no encoder and no store."""
