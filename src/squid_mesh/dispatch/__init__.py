"""Where Squid Mesh meets Oban."""
