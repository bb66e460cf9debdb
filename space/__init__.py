"""The Gradio Space: find a model by what it was trained on, and see why that is believed.

It reads a database through `hubbot.open_library` and writes nothing.
"""
