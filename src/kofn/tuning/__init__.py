"""Which code: designs for products, fits for functions, learned codes."""
