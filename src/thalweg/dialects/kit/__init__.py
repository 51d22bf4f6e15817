"""What every dialect needs and none owns: reading JSON bodies, numbers, and errors as upstreams say them."""
