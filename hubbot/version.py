"""Which hubbot this is; known where it lies as source alone, as in a Space, and nobody installed it."""

VERSION = "0.1.0"
