"""One file per noun; main.py gives the commands their names."""
