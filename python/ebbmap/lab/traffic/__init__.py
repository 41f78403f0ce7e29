"""Who comes when: a day's curve made up (`curve`), one of a file (`rates`), or a real log (`log`)."""
