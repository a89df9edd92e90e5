"""Use cases over both engines: the one package that imports `linkage` and `store`.

Read in this order: `commands` (what the writer is asked and answers), `views` (what readers answer), `matcher`
(record → scored candidates), `decision` (candidates → what to do), `writer` (commands → journal and index),
`reader`, `projection` (journal → index), `relink` (snapshot, plan, commit).
"""
