"""What other libraries and programs share, and which processes have what."""
