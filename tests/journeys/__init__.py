"""What a user does, from outside: the command line and HTTP, on whatever platform is given."""
