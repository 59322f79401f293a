"""Debug pages for Flask that stay true over all workers."""
