"""`dump`: an object, field by field."""
