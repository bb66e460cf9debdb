"""Trees as pictures: who is drawn, where, in which colour. Numbers only: knows no store and no page."""
