"""The commands. Whatever touches a running service goes through `mdm_client`, as any agency would.

Read in this order: `application` (the commands and their exit codes), `connection` (how they reach the service),
`output` (progress, summaries, errors), then one module for each group: `serve` with `settings` (where they come from)
and `configuration` (config show, config reference), `health`, `status`, `doctor`, `load` and `loads` (list, show,
revert) with `load_comparison` (what need not be sent), `absent` (what a full file lacks), `load_preview` (what a load
would do) and `load_words` (a dry run in words), `relink` with `relink_report` (its impact in words), `export` with
`export_files`, `watch`, `query` (lookup, translate, match), `relations` (household, relations), `explain` (why,
why-not, how), `history` (history, get), `synth`, `maintenance` (rebuild, verify), `upgrade`, `backup` (and restore),
`steward` (acts of one), `review` (a steward's loop), `train` with `train_labels`, `model`, `survivorship`, `registry`,
`erase`, `audit` with `audit_label` (its terminal), `attributes` (records of the domain as the client's values) and
`differences` (how two values differ, in words). `demo` tells what all of them do on a small city; behind it stand
`demo_service` (real processes), `demo_truth` (precision and recall), `demo_story` (one citizen), `demo_page` (what is
printed). Heavy imports stand inside the commands, so that `mdm --help` is quick.
"""
