"""What a reader far away needs: snapshots of the store, made, pushed and pulled, and the Space as a repo."""
