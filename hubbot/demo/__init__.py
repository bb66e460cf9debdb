"""The demo: a small world on a loopback Hub, and the bot's main job done in it for a stranger to see."""
