"""The door to the Hub: uploads, tensors by range, pull requests. Everything behind it is hostile."""
