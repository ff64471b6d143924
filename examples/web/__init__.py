"""A web application whose requests start runs, and whose processes drive them."""
