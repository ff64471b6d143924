"""A plain asyncio application with its own pool and Oban that uses every shape of a workflow.

The application calls `workflows_api`, and nothing else of it knows that there is a Squid Mesh.
"""
