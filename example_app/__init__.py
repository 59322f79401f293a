"""A small shop with flask_expvar's debug pages: read ``app.py`` first."""
