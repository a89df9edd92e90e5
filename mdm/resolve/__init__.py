"""Use cases over both engines: the one package that imports `linkage` and `store`.

Read in this order: `commands` (what the writer is asked and answers), `views` (what readers answer), `payloads`
(values as bytes), `engines` (model and epoch in force), `matcher` (record → scored candidates → evidence), `group`
(one group commit), `upsert` (one record: commands → facts), `changes` (facts → affected golden IDs), `population` (an
epoch that follows the city), `writer`, `reader`, `crosswalk`, `projection` (journal → index). Re-linkage:
`relink_runs` (the files of a run), `relink_process` (the batch process), `relink_linkage` (records → clusters),
`relink_plan` (clusters → components), `relink_control` (commits them between writes).
"""
