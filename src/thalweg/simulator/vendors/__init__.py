"""What vendors do beyond speaking a dialect: they name and sign what they say, and check it when it comes back.

Nothing is kept between requests. A signature, and a call's id, carry a check of what they stand for, so that a request
alone shows whether one of the simulator's own comes back changed, on another part, or not at all.
"""
