"""One module per command: reads its flags, calls the rooms below, prints."""
