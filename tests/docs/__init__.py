"""Tests that compare the documentation with what snoopsync really prints."""
