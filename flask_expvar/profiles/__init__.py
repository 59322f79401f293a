"""Profiles in the formats of those who read them, each made of the samples alone."""
