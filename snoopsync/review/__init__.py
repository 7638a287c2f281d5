"""A web page to compare duplicates and decide about them."""
