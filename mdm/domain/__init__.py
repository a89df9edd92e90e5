"""What the service knows, without a clock, randomness or IO.

Read in this order: `keys`, `records`, `events`, `state`, `changes`, `rules`, `decision`, `erasure`,
`survivorship_rules`, `survivorship`, `relations`.
"""
