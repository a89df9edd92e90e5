"""What stands on disk: the journal (the only truth) and the index (derived, may be deleted at any time).

The only owner of SQLite and LMDB; match state is opaque bytes here. Read in this order: `files`, `sealing`,
`journal_file`, `event_codec`, `journal`, `token`, `layout`, `counts`, `view`, `transaction`, `posting`, `index`,
`rewrite_process`, `generations`, `export_ledger`, `export_copies`, `data_directory`, `comparison`; for backups
`journal_rows`, `backup_file`, `backup_check`, `restoring`.
"""
