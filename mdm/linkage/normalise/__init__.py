"""Raw source records to features: the only normaliser, run once at ingest.

Read in this order: `memory` (how much is remembered), `text` (Unicode repair and the ASCII fold), `legacy`
(pre-Unicode fonts), `syllables` (what a Vietnamese word may look like; tone marks; unfinished typing), `repairs` (a
line in a legacy font), `names`, `dates`, `identifiers`, `phones`, `wards`, `addresses`, `trade_words` and `businesses`
(names of firms), `findings` (the issues of one record), `contacts`, `citizens`, `firms`, and `record`, which is the
entry.
"""
