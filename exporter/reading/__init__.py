"""Where the commands for people look: at the running exporter, or at the host themselves."""
