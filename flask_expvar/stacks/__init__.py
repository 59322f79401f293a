"""What is running: the stacks of this process's threads, greenlets and tasks."""
