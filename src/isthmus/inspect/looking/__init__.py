"""Typed objects of isthmus: read from their files, without leaving a trace."""
