"""The embedded server: HTTP over TCP and over a Unix socket, in the SD Elements dialect."""
