"""HTML pages and the JSON files beside them."""
