"""The pages: what each collects in one process, how many processes' data become one, what it shows.

Nothing in this folder knows of Flask.
"""
