"""How fast flask_expvar is beside its peers: ``tox -e bench`` prints one table."""
