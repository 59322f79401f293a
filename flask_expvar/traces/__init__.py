"""What happened: traces of short work, event logs of long-lived things, with bounded memory."""
