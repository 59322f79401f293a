"""Who else is there: the folder that workers share, their slots in it, and their sockets."""
