"""`python -m hubbot`, the same as `hubbot`."""

from hubbot.cli import main

if __name__ == "__main__":
    main()
