"""The Python verbs: what the commands do, for scripts and notebooks. They raise TicketError and never print."""
