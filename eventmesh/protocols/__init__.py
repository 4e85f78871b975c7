"""What Python knows of each wire protocol: here, how private ones are declared."""
