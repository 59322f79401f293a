"""Who asks: the gate, the views and the middleware, the only folder that knows of Flask."""
