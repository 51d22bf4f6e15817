"""What models are and cost: prices, what an answer costs, the table that is shipped, and providers' own lists."""
