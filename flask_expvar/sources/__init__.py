"""What the program was started with: its flags, its configuration, its server's settings."""
