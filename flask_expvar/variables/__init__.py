"""What is counted: variables, their registry, and the words of memory that hold their values.

Nothing in this folder knows of Flask, of pages or of how workers find each other.
"""
