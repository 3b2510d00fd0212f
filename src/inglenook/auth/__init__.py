"""Who may talk to the box, from where, and how a phone is let in."""
