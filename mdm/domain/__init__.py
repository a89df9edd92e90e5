"""What the service knows, without a clock, randomness or IO.

Read in this order: `keys`, `records`, `events` with `load_events`, `reviews`, `state` with `review_fold`,
`settings_fold` and `loads`, `changes`, `restores`, `rules`, `judgements`, `decision`, `erasure`, `survivorship_rules`,
`survivorship`, `relations`.
"""
