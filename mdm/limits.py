"""Every bound of the service, each with its reason. Tests hold each at its boundary; the protos state the same."""

from __future__ import annotations

RECORD_ID_BYTES_MAX = 128
"""Longest record id seen in the feeds is 100 characters (hospital MA_BN); LMDB keys end at 511 bytes."""

NAME_CHARACTERS_MAX = 256
"""After NFC. The longest legal firm names reach about 200; longer values are cut and flagged, never refused."""

ADDRESS_CHARACTERS_MAX = 512
"""After NFC. Longer values are cut and flagged."""

VALUE_CHARACTERS_MAX = 256
"""Any other text value of a record."""

RECORD_VALUES_MAX = 20
"""Identifiers, phones, addresses and relations that one record may carry of each."""

REQUEST_UNARY_BYTES_MAX = 256 * 1024
"""A record with all its values is under 10 KiB."""

REQUEST_BATCH_BYTES_MAX = 4 * 1024 * 1024
"""10,000 keys of 128 bytes with room."""

BATCH_LOOKUP_KEYS_MAX = 10_000
"""About 10 ms of work: one batch must not starve single lookups."""

BATCH_COMPARE_RECORDS_MAX = 10_000
"""About 30 ms of work, as above, and 160 kB of digests."""

CONTENT_DIGEST_BYTES = 16
"""Two of 10^9 values share a digest with probability 10^-21: far below the disk's own errors."""

BATCH_WRITE_RECORDS_MAX = 500
"""Acknowledged together, within one group commit or a few."""

CANDIDATES_PER_KEY_MAX = 200
"""A blocking key with more holders is cut to its most recent ones and reported as truncated."""

CROWDED_KEY_CANDIDATES_MIN = 50
"""Holders read of a key that thousands share: of 400 holders 100 are read, of 800 and more these."""

CANDIDATES_MAX = 500
"""Candidates scored for one record over all its keys; the rest is counted and reported."""

PAGE_SIZE_MAX = 500
"""Rows in one page of a list call."""

DEADLINE_UNARY_S_MAX = 10.0
"""A desk does not wait longer."""

DEADLINE_BATCH_S_MAX = 120.0
"""Batch calls of the largest size on a loaded machine."""

STREAMS_PER_CONNECTION_MAX = 100
"""HTTP/2 streams that one client may hold open."""

STREAM_WORKERS = 8
"""Threads of the streams' own pool in a reader; a stream beyond them is refused, so that lookups never starve."""

STREAM_STALLED_S_MAX = 300.0
"""How long a message may wait for its caller to read on; no honest one works on a message for so long."""

WATCH_WORKERS = 64
"""Threads of a reader for watches, nearly always asleep; a city has some tens of systems that follow it."""

UNARY_WORKERS = 8
"""Threads of a reader for single calls that read for long, for calls that write, and for reads that wait, of each."""

BATCH_WORKERS = 4
"""Threads of a reader for batches, which would keep single calls waiting."""

QUEUE_CALLS_MAX = 256
"""Short reads in a reader, waiting or running, before new ones are shed; as many other reads, batches and writes."""

SHORT_REQUEST_BYTES_MAX = 8 * 1024
"""Largest request that is answered on the polling thread at once, some 400 keys: others wait 0.4 ms for it."""

MATCH_REQUEST_BYTES_MAX = 1024
"""Largest description searched for there once nothing else waits: normalising takes up to 1.5 ms a KiB."""

COLUMN_REQUEST_BYTES_MAX = 32 * 1024
"""Largest column of keys looked up there likewise."""

KEYS_AT_ONCE_MAX = 1_600
"""Keys looked up there in one request: a millisecond and a half."""

SHORT_HOLDERS_MAX = 20
"""Records stating an identifier up to which its lookup is answered on the polling thread, at 30 us each."""

SHORT_MATCH_RECORDS_MAX = CANDIDATES_PER_KEY_MAX + 50
"""Records whose features a match reads on the polling thread, 3 ms: a key has 200 at most, others bring few more."""

POSTED_CALLS = QUEUE_CALLS_MAX
"""Calls of a short method asked of gRPC at a time: with fewer a reader would see too few to notice an overload."""

CONNECTION_AGE_S = 600
"""SO_REUSEPORT pins a connection to a reader; ageing rebalances after a restart."""

CONNECTION_AGE_GRACE_S = 120
"""As long as the longest batch deadline."""

GROUP_COMMIT_RECORDS_MAX = 256
"""Records in one journal transaction: one sync of about 0.6 ms covers them."""

INGEST_WINDOW_RECORDS = 512
"""Records of an ingest stream that may be unacknowledged where they are resolved now; else as many as are in flight."""

INDEX_MAP_BYTES = 1 << 38
"""256 GiB of address space, not of disk: the map is never resized while others run."""

INDEX_READERS_MAX = 512
"""Reader slots of the LMDB lock table: workers times threads, with room for restarts."""

MEMBER_PAIRS_COMPARED_MAX = 40_000
"""Pairs of members compared before a write merges two golden records, 80 ms; of more, a steward is asked."""

POTENTIAL_MATCHES_MAX = 5
"""Questions that one decision may put before stewards; the strongest ones are kept."""

JOURNAL_CHUNK_EVENTS = 4096
"""Events read from the journal at a time: about 1 MiB, and no read transaction that holds the WAL back."""

RECORD_KEYS_CACHED_MAX = 2048
"""Record keys that the journal keeps in memory, those read or made last: about 0.3 MiB with the dictionary."""

WAL_RECOVERY_S_MAX = 10.0
"""How long an opening waits while another process recovers the WAL of a crash: 16 MiB of it take 0.1 s."""

WAL_PAGES_MAX = 4096
"""16 MiB of WAL before the writer checkpoints it: a checkpoint costs two more syncs, so not after each group."""

POSTING_KEY_BYTES = 9
"""Width of a blocking or relation key in the index: one byte for its sort, eight of hash; a collision does no harm."""

INDEX_SPARE_READS = 32
"""Finished read transactions that a process keeps for reuse: one for each thread, with room."""

PROJECTION_CHUNK_EVENTS = 20_000
"""Events of one index transaction in a replay: large enough that commits cost nothing, small enough to resume."""

DESCRIBED_TOGETHER = 500
"""Records that a rebuild hands to a process at a time: about 50 ms of its time and 1 MB between processes."""

MATCH_CANDIDATES_ANSWERED_MAX = 50
"""Candidates in one answer, and golden IDs that a clerk can have been shown: more than fit on a screen."""

EXPORT_REGISTRIES_MAX = 100
"""Registries that one export can name; a city has four, and may grow to tens."""

IDENTIFIER_HOLDERS_MAX = 200
"""Golden records answered for one identifier; beyond that it is a filler, and the rest is only counted."""

REQUEST_ID_CHARACTERS_MAX = 64
"""A UUID with room; also the longest load id and run id."""

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""One message between reader and writer: a batch of 64 of the largest records with their proposals is under 20 MiB."""

INGEST_PROPOSAL_RECORDS = 32
"""Records that an ingest stream proposes in one message: further ahead, more proposals are void when they come."""

INGEST_IN_FLIGHT_GROUPS = 2
"""Messages of one ingest stream that may wait for the writer: one being committed, one ready behind it."""

INGEST_DEFERRED_RECORDS = 128
"""Records that a load which resolves later sends the writer in one message: they never grow stale."""

INGEST_DEFERRED_IN_FLIGHT_GROUPS = 8
"""Messages of such a load that may wait for the writer: one sync covers all that arrived during the one before."""

LOADS_CLAIMED_MAX = 1024
"""Loads whose present stream the writer remembers: far more than there are streams; a forgotten one only reconnects."""

DEADLINE_S_MIN = 0.005
"""Below it a call would end in the handler: refused before any work is done."""

WRITER_ANSWER_S_MAX = 30.0
"""A reader gives a write up after this; the writer may still commit it, and a retry with its request_id learns so."""

RESTARTS_MAX = 5
"""Failures of one process within RESTARTS_WINDOW_S: of a reader the service ends, of the writer it goes on reading."""

RESTARTS_WINDOW_S = 60.0
"""Window of RESTARTS_MAX: long enough that a writer which rebuilds before failing is seen to fail."""

START_S_MAX = 3600.0
"""A child's start may say nothing for this long: the last step of an index of tens of millions of records takes it."""

CROSSWALK_CHUNK_ROWS = 5_000
"""Rows of one export message: about 300 KiB."""

FEED_EVENTS_MAX = 500
"""Events in one message of the change feed: about 100 KiB, and all that a slow subscriber holds in memory."""

FEED_RECORDS_MAX = 5_000
"""Records in one message of the change feed: about 1 MiB. An event with more goes on in the next one."""

FEED_SCANNED_MAX = 5_000
"""Changes looked at in one read transaction of the change feed, those that its filters drop included: about 50 ms."""

FEED_POLL_S = 0.02
"""How often a reader looks for new events while somebody watches: one look for all of them, 3 us."""

FEED_CHECKPOINT_S = 10
"""After how many seconds without a change a subscriber hears where it stands, unless it asks otherwise."""

FEED_CHECKPOINT_S_MAX = 60
"""The same at most: firewalls drop connections that are silent for minutes."""

FEED_CHANGE_TYPES_MAX = 32
"""Types of changes that a filter can name: more than there are."""

GOLDEN_RECORD_CHUNK_GOLDEN_RECORDS = 200
"""Golden records in one export message: about 2,500 values, 200 KiB, which are put together in a few milliseconds."""

EXPORT_FIELDS_MAX = 50
"""Attributes that one export can name: more than there are."""

EXPORT_WORKERS = 2
"""Exports of one reader at a time, with places of their own: each keeps a core busy, and no load waits for one."""

EXPORT_KEPT_S = 600
"""How long the state that an export was reading is kept for it to go on: a network is mended or fails over by then."""

EXPORT_DONE_KEPT_S = 60
"""The same once its last message was sent: at most that one was lost."""

EXPORT_COPIES_IDLE_MAX = 2
"""Copies of the index kept that nobody reads: each is as large as the index."""

EXPORT_SLICE_S = 0.001
"""Work of an export after which it lets other calls of its reader go first; by itself the interpreter takes 5 ms."""

EXPORT_PAUSE_S = 0.0002
"""How long it does so: long enough for a thread that waits to wake up."""

RESUME_TOKEN_CHARACTERS_MAX = 1024
"""Where an export goes on: a source key, names and counts take under 400."""

LINEAGE_CHUNK_ROWS = 5_000
"""Golden IDs in one export message: about 250 KiB."""

FRESHNESS_POLL_S = 0.002
"""How often a read that waits for a position looks; the writer commits every few milliseconds under load."""

CHECKPOINT_INTERVAL_S = 600.0
"""How much journal at most is replayed after a power cut, against 1 s of copying for 2.6 GB."""

DIFFERENCES_SHOWN_MAX = 20
"""Entries that `verify` names for each database; the rest is counted."""

RELINK_STEP_S = 0.1
"""Longest that a re-linkage commit holds the writer: its sync and index commit cost 5 ms each time."""

RELINK_STEP_MIN_S = 0.02
"""What it does before it gives way to a write that waits: so a commit ends even under a load."""

FEED_LINE_CHARACTERS_MAX = 1024 * 1024
"""A longer line of a feed is no row of text: it is cut there, so that a binary file never fills the memory."""

FEED_ROW_LINES_MAX = 100
"""Lines that one quoted row may span; beyond them its quote was never closed, and only its first line is set aside."""

FEED_BATCH_ROWS = 4096
"""Rows of a Parquet feed that are in memory at a time: about 2 MiB."""

FEED_SAMPLE_BYTES = 1024 * 1024
"""Beginning of a feed that is searched for signs of another encoding."""

REJECT_GATE_ROWS_MIN = 100
"""Rows read before the share of set-aside rows can stop a load: of fewer, one bad row is already more than 1 %."""

FEATURES_CACHED_MAX = 20_000
"""Decoded features that a re-linkage keeps, 40 MB: pairs come part by part, and honest parts have at most hundreds."""

POPULATION_ROUNDS_MAX = 4
"""Rounds of clustering in the search for the population; each needs one when the first guess was near."""

QUESTIONS_PER_ITEM_MAX = 500
"""Questions of one plan item: a few milliseconds of the writer's time."""

RELINK_MEMORY_BYTES = 4 << 30
"""Memory of a re-linkage unless told otherwise or more is needed: enough for 2.4 million records."""

RELINK_NICENESS = 10
"""Of a re-linkage's process: on busy cores it gets a tenth of what a reader does, and so ends even under a load."""

RELINK_PROCESS_BYTES = 512 << 20
"""Of it the interpreter with its libraries, and what DuckDB takes beyond the limit of its buffers."""

RELINK_RECORD_BYTES = 1024
"""Of it for each record: columns, pairs, clusters, names."""

RELINK_DUCKDB_BYTES_MIN = 512 << 20
"""DuckDB's buffers at the least: enough for a million records, which then train and predict by spilling to disk."""

RELINK_RECORD_DISK_BYTES = 4096
"""Working files of a re-linkage for each record, beside a copy of the index: snapshot, pairs, plan and what spills."""

RELINK_ATTEMPTS_MAX = 3
"""Times that a plan's process is started before the run fails: one that the kernel kills for memory dies each time."""

RELINK_RUNS_KEPT = 50
"""Runs whose reports stay to be read: a year of weekly ones."""

RELINK_EXAMPLES_MAX = 5
"""Examples of each kind of change in a report: what an operator reads before a commit."""

RELINK_EXAMPLE_RECORDS_MAX = 10
"""Records named in one example: honest golden records have fewer members, and others are cut."""

RELINK_DROPPED_LISTED_MAX = 100
"""Dropped components that a report lists; beyond them they are only counted."""

RELINK_LARGEST_SHOWN = 5
"""Largest golden records in a report: where false merges pile up, they lead to it."""

ADAPTATION_RECORDS_MIN = 10_000
"""Records of a kind below which a re-linkage keeps the shipped model: rare levels are seen too seldom to learn from."""

MODEL_BYTES_MAX = 200_000
"""A model file is under 40 KB; with the rest of a request it stays within REQUEST_UNARY_BYTES_MAX."""

MODEL_SAMPLE_GOLDEN_RECORDS_MAX = 5_000
"""Golden records that one comparison of models looks at: some seconds of one reader's time."""

MODEL_SAMPLE_GOLDEN_RECORDS = 1_000
"""The same unless told otherwise: a change of 2 % of the pairs is then known to half a per cent."""

MODEL_BAND_CHANGE_SHARE_MAX = 0.02
"""Near pairs that a new model may move to another band before somebody must say that this is meant."""

MODEL_PATTERNS_SHOWN = 10
"""Patterns of comparison levels that a comparison of models names: what a person reads before deciding."""

CONFIGURATION_BYTES_MAX = 100_000
"""A registries file: the one that ships has 7 KB for four registries; a city may grow to tens."""

CONFIGURATION_LINE_BYTES_MAX = 2_000
"""As of SURVIVORSHIP_LINE_BYTES_MAX."""

SURVIVORSHIP_BYTES_MAX = 100_000
"""A file of rules is under 3 KB; comments may be long."""

SURVIVORSHIP_LINE_BYTES_MAX = 2_000
"""The parser needs time in the square of a dotted key's parts: 11 s for a key of 20,000, 0.1 s for one of 2,000."""

SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS_MAX = 10_000
"""Golden records of each kind that one preview of rules looks at: about 10 s of one reader's time."""

SURVIVORSHIP_SAMPLE_GOLDEN_RECORDS = 2_000
"""The same unless told otherwise: a change of 2 % of the golden records is then known to a third of a per cent."""

SURVIVORSHIP_EXAMPLES_MAX = 3
"""Examples of each field in a preview: what an operator reads before an activation."""

REASON_CHARACTERS_MAX = 256
"""An operator's reason, as it stands in the journal."""

FEED_CELL_CHARACTERS_MAX = 2048
"""Four times the longest value that is kept, so the service still sees that it was too long."""

POPULATION_GROWTH_MAX = 2
"""Growth of a kind's golden records over its epoch's population before a new epoch: one bit of the prior."""

FREE_DISK_BYTES_MIN = 64 * 1024 * 1024
"""Free space without which a service does not start: WAL, index and the mapped files of all processes."""

WRITE_FREE_DISK_BYTES_MIN = 128 * 1024 * 1024
"""Free space below which writes are refused: twice what a start needs, so that a writer killed now can catch up."""

WRITE_FREE_DISK_BYTES_AGAIN = 192 * 1024 * 1024
"""Free space from which writes are taken again: so far above that they stay."""

INDEX_MAP_SHARE_MAX = 0.95
"""Share of the index's map from which writes are refused: what is read meanwhile needs the rest."""

READER_SILENT_S_MAX = 30.0
"""Silence after which a reader counts as hung: callers have given up after a third of it, on a loaded machine too."""

WRITER_SILENT_S_MAX = 120.0
"""Time at one thing after which the writer counts as hung: a sync of a disk in trouble takes tens of seconds."""

WRITER_STALLED_S = 10.0
"""How long the writer may be at one thing before health says that writes are not served: as long as a caller waits."""

READ_ONLY_RETRY_S = 30.0
"""After how long a service that only reads tries to write again; doubled with each failure up to ten minutes."""

READ_ONLY_RETRY_S_MAX = 600.0
"""Longest time between two tries: an operator who has repaired a disk should not have to know of it."""

INDEX_RENEWALS_MAX = 3
"""Times within an hour that a damaged index is built anew before the service ends: disk or memory are at fault."""

OPEN_FILES_MIN = 4096
"""Files that a process should be allowed to open: a reader holds one for each of its connections."""

MEMORY_BYTES_MIN = 4 << 30
"""Memory of a machine below which a re-linkage of a city does not fit beside the service; see RELINK_MEMORY_BYTES."""

SYNC_S_MAX = 0.02
"""Time of one sync above which a disk is called slow: a single write then takes longer than all else that it needs."""

SLOW_CALL_S = 1.0
"""Duration from which a unary call is logged with its stages: a hundred times the usual one."""

STAYS_MAX = 20
"""Households over time kept of one record: people move some ten times in a life, and their role changes as often."""

HOUSEHOLD_RECORDS_MAX = 500
"""Records of one household that are read: a family has 3.5, a dormitory hundreds. Of more, nobody is found by name."""

RELATIONS_EXAMINED_MAX = 2_000
"""Records that one page of relations may look at, 0.1 s: a page that finds little ends early and is continued."""

RELATION_STATEMENTS_MAX = 20
"""Records shown as stating one relation; a patient with hundreds of visits states a mother each time."""

AUDIT_ITEMS_MAX = 50_000
"""Pairs of one audit: 37,000 without an error bound a precision at 0.9999, and take two people a month each."""

SEARCH_BATCH_RECORDS = 4_096
"""Records decoded at a time while an audit compares some with all others: about 6 MiB."""

GOLDEN_MEMBERS_EXPLAINED_MAX = 300
"""Members of a golden record whose pairs are all judged for one explanation: 45,000 pairs, about a second."""

BRIDGES_SHOWN_MAX = 50
"""Bridge records of one explanation: more mean that the whole is a chain."""

HISTORY_RECORDS_SHOWN_MAX = 20
"""Records named of one entry of a history; a merge of large golden records moves hundreds."""

ACT_EVENTS_EXAMINED_MAX = 100
"""Events around one of a steward's act among which the one with the reason is sought; mostly it is the next."""

PART_RECORDS_SHOWN_MAX = 20
"""Records named of each part that a bridge holds together; the rest is counted."""
OVERSIZED_MEMBERS_MIN = 50
"""Members from which a golden record is put before a steward, and once more when it has doubled: most have few."""

TWO_PERSON_RECORDS_MIN = 20
"""Records of a golden record that one person alone may not make by a merge, unless the registries file says so."""

REVIEW_LEASE_S = 900
"""How long a claim keeps a review from others: a steward who calls a registry to ask needs some minutes."""

REVIEW_LEASE_S_MAX = 28_800
"""Longest claim: a working day. Whoever needs longer is unsure."""

REVIEW_PARKED_S = 30 * 86_400
"""How long "unsure" rests: feeds bring most corrections within a month."""

PROPOSAL_S = 14 * 86_400
"""How long a proposal waits for a second person: two weeks bridge a holiday."""

REVIEWS_EXAMINED_MAX = 2_000
"""Reviews that one page may look at to find some that pass its filter, or the writer to find one: about 20 ms."""

REVIEW_KINDS_MAX = 16
"""Kinds that one request may name: all of them, with room for new ones."""

REVIEWS_SKIPPED_MAX = 100
"""Reviews that a claim may be asked to leave out: what one steward skips in a sitting."""

SPLIT_RECORDS_MAX = 1_000
"""Records that one split may name: each becomes a judgement, 10 us of the writer's time."""

BACKUP_WORKERS = 1
"""Backups that one reader serves at a time: a place of their own, so that none takes that of a load or an export."""

BACKUP_MESSAGE_BYTES = 512 * 1024
"""Rows in one message of a backup, 1 to 20 ms of reading; a read transaction of the journal lasts no longer."""

BACKUP_TAIL_EVENTS = 5_000
"""Rows of a table behind what a backup has read, read in one transaction to end at one position: 50 ms, 5 MB."""

BACKUP_ROUNDS_MAX = 20
"""Times that a backup reads what came meanwhile before it takes the rest in one transaction, however much it is."""

BACKUP_NICENESS = 10
"""Of the process that reads the journal for a backup, as of a re-linkage's: answers come first."""

BACKUP_AWAY_S_MAX = 120.0
"""How long a backup waits for a service that went away before it gives up, as a load does."""

CERTIFICATE_WARNING_DAYS = 14
"""Long enough to have a certificate renewed by people; automatic renewal is over well before."""

LOAD_EXAMPLES_MAX = 5
"""Records of each kind that a dry run of a revert shows: enough to see a shifted column. Also later loads named."""

PROFILE_SAMPLE_ROWS = 10_000
"""Rows of which a dry run looks at lengths and shapes: shares within a hundredth, and they fit in memory."""

PREVIEW_SAMPLE_RECORDS = 400
"""New or changed records of which a dry run asks what would become of them: 2 s of a reader, shares within 5 points."""
