"""What each command of the command line does; a file a command, its options a dataclass."""
