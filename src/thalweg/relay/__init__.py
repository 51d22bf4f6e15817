"""The way of one request through the gateway: `exchange` decides, `pump` awaits, `taps` watch."""
