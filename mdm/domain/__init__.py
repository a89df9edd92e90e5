"""What the service knows, without a clock, randomness or IO.

Read in this order: `keys`, `records`, `events`, `reviews`, `state` with `review_fold` and `settings_fold`, `changes`,
`restores`, `rules`, `judgements`, `decision`, `erasure`, `survivorship_rules`, `survivorship`, `relations`.
"""
