"""Shared memory that Python processes can rely on."""
