"""What people look at: the status page and what it shows."""
