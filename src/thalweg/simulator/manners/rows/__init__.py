"""One module for each provider whose manner the simulator can take on. `table` lists them."""
