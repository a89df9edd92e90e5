"""What a registries file may say: the sections, what a well-formed one still may not say, and where a fault stands.

Read in this order: `sections` (every key of the file), `faults` (what is wrong, found from the sections alone), `rules`
(what sections cannot say, and what is allowed but suspicious), `lines` (the line that a key stands in) and `writing`
(sections to a file again).
"""
