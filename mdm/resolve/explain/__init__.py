"""Why records are one or two, and how a golden record came about, in data and in words.

In reading order: `phrases` (what is said), `acts` (why a steward acted), `history` (what happened to a golden ID),
`values` (what a comparison looked at), `pairs` (why), `counterfactuals` (what would be enough), `obstacles` (why not),
`evidence_graph` and `growth` (how), `explainer` (what the server asks).
"""
