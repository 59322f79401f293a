"""A pocket chasquid: a small mail relay with debug pages. Read ``front.py`` first."""
