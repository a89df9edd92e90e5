"""Use cases over both engines: the one package that imports `linkage` and `store`.

Read in this order: `commands` (what the writer is asked and answers), `views` (what readers answer), `payloads` (sealed
values), `relation_state` (what a record says of others, as keys), `engines` (model and epoch in force), `recall` (a
state remembered for one call), `matcher` (record → scored candidates → decision), `questions` (which need no steward),
`bearer` (whether a key changed hands), `renames` (a firm's earlier names), `group` and `upsert` (one write → facts),
`changes` (what its events changed → what it answers), `population` (an epoch that follows the city), `reasons` (sealed
words), `fixed_values`, `stewardship` (a steward's act → facts), `etags` and `desk` (acts and the review queue in the
writer), `load_acts` (what a load did), `load_revert` (one operation of it taken back), `load_newcomers` (who came
meanwhile), `load_control` (loads in the writer) and `load_outline` (loads to look at), `checkpoints` (copies of the
index), `writer` (commands → journal and index), `relation_ends` (who is meant), `relations` and `households`,
`previews`, `searching` (them and proposals, in turns), `export_rows`, `feed`, `reading` (one state and all it
takes to explain it), `past` (golden IDs as of then), `configuring` (registries in force), `exporting` (a state to read
for long), `opened` (an index generation), `status` (what an operator asks) and `reader`, `steward_reader` (reviews and
judgements to look at), `models` (which one is in force since when; another one) with `model_comparison`, `survivorship`
(values of golden records, and what other rules change), `workers` (processes beside this one), `describing` (match
state, by several of them), `versions` (the journal, by one that reads ahead) and `projection` (journal → index), and
for re-linkage `relink_runs` (its files), `relink_room` (what it needs of memory and disk), `relink_snapshot` (the
records of a kind as files), `relink_bands` (scored pairs → edges and questions), `relink_rivals` (which of them might
as well be another's), `relink_decision` (those → clusters, in shares), `relink_linkage` (records → clusters),
`relink_questions` (which stewards get), `relink_plan` (clusters → components), `relink_report` (what they change),
`relink_revert` (a run taken back), `relink_process` (the stages of a plan), `relink_commit` (one item of a plan →
facts) and `relink_control` (runs, and their commits between writes);
`renewal` (the index written anew) and `erasure`; `upgrade` (a directory of another release) and `doctor` (what the
service needs of a machine); `restoring` (a backup → a data directory). `explain` says why records are one or two, in
words too. `audit` draws pairs for people to judge and says what their labels prove.
"""
