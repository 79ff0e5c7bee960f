"""Makes what each arm trains: its networks and its ticket."""
