"""Reads what is stored and shows it. Never writes."""
