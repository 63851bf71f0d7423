"""What ``code="auto"`` takes: scheduler, code and tasks a worker, by simulation on what a pool remembers of delays."""

from ._book import Book, book_of
from ._products import Product, product_way
from ._sums import sum_way
from ._way import Way

__all__ = ["Book", "Product", "Way", "book_of", "product_way", "sum_way"]
