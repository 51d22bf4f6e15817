"""What the relay costs: CPU, added time and memory against nginx, measured on the machine at hand.

`python -m bench` runs everything (`docs/performance.md` tells how it is measured). Nothing in here is imported by
`thalweg`, and no test asserts a time.
"""
