"""The compiled part of isthmus: conversions between Python and the C core."""
