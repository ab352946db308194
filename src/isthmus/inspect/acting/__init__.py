"""What changes something: remove, gc, evict, shut_down, repair."""
