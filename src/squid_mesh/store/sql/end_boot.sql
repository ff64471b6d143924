-- A process that ends cleanly holds nothing any more; what it still claimed is found at once.
delete from {schema}.workers where boot = %(boot)s
