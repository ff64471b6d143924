"""Squid Mesh beside other libraries. Each module needs the extra of its name."""
