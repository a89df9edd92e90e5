"""What the service knows, without a clock, randomness or IO.

Read in this order: `keys`, `records`, `events`, `state`, `rules`, `decision`, `survivorship`,
`relations`.
"""
