"""What an experiment found, for people: in the terminal, as a page; and how it goes while it runs."""
