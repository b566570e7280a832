"""What others do in our place; each is a program that serves on PORT."""
