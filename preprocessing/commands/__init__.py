"""What the commands of dora-prep share: groups of options, each said once."""
