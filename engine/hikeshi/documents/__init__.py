"""What faces show, as plain data: one form of each thing for the command line, the API and the console."""
