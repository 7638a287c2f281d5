"""What tests are made of, in packages."""
