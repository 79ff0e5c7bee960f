"""The recipes that come with gentickets; `gentickets recipes ls` lists them."""
