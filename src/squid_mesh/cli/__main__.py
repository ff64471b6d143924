"""`python -m squid_mesh.cli` is `squid-mesh`."""

from squid_mesh.cli import main

main()
