"""The result as one page: no script, no link to anything outside, to be mailed or kept beside a release."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from benchmarks.charts import Figures, percent
from benchmarks.pages import Html, document, table, tile
from benchmarks.quality import charts

WAYS = {
    "batch": "ours: batch",
    "online_loaded": "ours: loaded online",
    "online_relinked": "ours: loaded online, re-linked",
    "splink_stock": "plain Splink",
    "splink_stock_best": "plain Splink, best threshold",
    "record_linkage": "recordlinkage (ECM)",
    "golden_match": "GoldenMatch, no configuration",
}

MISSED = {
    "review": ("held for review", "var(--ours)"),
    "refused": ("refused: veto, strangers, cluster", "var(--peer)"),
    "scoring": ("weight below review", "var(--match)"),
    "blocking": ("never compared", "var(--stranger)"),
}


def page(result: Figures, differences: Sequence[Figures] = ()) -> Html:
    """Return the page.

    Args:
        result: As `suite.run` returns it.
        differences: As `comparison.differences` returns them; none if nothing was compared.
    """
    environment = result["environment"]
    commit = (environment["commit"] or "unknown")[:12] + ("" if environment["is_clean"] else " with changes")
    libraries = ", ".join(f"{name} {version}" for name, version in environment["libraries"].items())
    sections = [
        _subject(f"{set_name} · {subject}", ways)
        for set_name, subjects in result["sets"].items()
        for subject, ways in subjects.items()
    ]
    links = "".join(
        f'<a href="#{_anchor(name)}">{escape(name)}</a>'
        for name in (f"{each} · {subject}" for each, subjects in result["sets"].items() for subject in subjects)
    )
    skipped = "".join(
        f"<p><b>{escape(name)}</b> was skipped: {escape(reason)}</p>" for name, reason in result["skipped"].items()
    )
    return document(
        "Linkage quality",
        "<h1>Linkage quality</h1>"
        f'<p class="soft">{escape(environment["measured_at"])} · commit {escape(commit)} · seed {result["seed"]}<br>'
        f"{escape(environment['processor'])}, {environment['cores']} cores, {environment['memory_gib']} GiB · "
        f"Python {escape(environment['python'])} · {escape(libraries)}</p>"
        f"<nav>{links}</nav>{skipped}{_differences(differences)}{''.join(sections)}",
    )


def summary(result: Figures) -> str:
    """Return the main figures as lines of text, one for each set, subject and way."""
    lines = [f"{'':58} precision    recall        F1  false merges/10,000  questions/1,000"]
    for set_name, subjects in result["sets"].items():
        for subject, ways in subjects.items():
            for way, figures in ways.items():
                pairs = (f"{_share(figures['pairs'][name]['value']):>9}" for name in ("precision", "recall", "f1"))
                merges = figures["clusters"]["false_merges_per_10_000"]["value"]
                asked = f"{figures['review']['per_1000_records']['value']:.1f}" if "review" in figures else ""
                where = f"{set_name} {subject} {way}"
                lines.append(f"{where:58} {' '.join(pairs)} {merges:20.2f} {asked:>16}".rstrip())
    return "\n".join(lines)


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _subject(name: str, ways: Mapping[str, Figures]) -> Html:
    figures = next(iter(ways.values()))
    parts = [f'<h2 id="{_anchor(name)}">{escape(name)}</h2>', _tiles(figures), _ways(ways)]
    if "missed" in figures:
        parts.append(_missed(figures))
    if "thresholds" in figures and figures.get("weights", {}).get("bins"):
        parts.append(_charts(figures, ways))
    parts += [_strata("By stratum", figures["strata"]), _strata("By pair of registries", figures["registry_pairs"])]
    if "blocking" in figures:
        parts.append(_blocking(figures["blocking"]))
    if "levels" in figures:
        parts.append(_levels(figures["levels"]))
    if figures.get("examples"):
        parts.append(_examples(figures["examples"]))
    parts.append(_details(ways))
    return "".join(parts)


def _details(ways: Mapping[str, Figures]) -> Html:
    """Return what each way says of itself: times by stage, model, counts."""
    rows = [
        (escape(WAYS.get(way, way)), escape(name.replace("_", " ")), escape(value))
        for way, figures in ways.items()
        for name, value in (
            *((stage, f"{seconds:,.2f} s") for stage, seconds in figures["seconds"].items()),
            *((fact, str(value)) for fact, value in figures["facts"].items()),
        )
    ]
    return f"<details><summary>Times, models, counts</summary>{table(('linker', '', ''), rows)}</details>"


def _tiles(figures: Figures) -> Html:
    pairs, clusters = figures["pairs"], figures["clusters"]
    tiles = [
        tile(_share(pairs["precision"]["value"]), f"precision, at least {_share(pairs['precision_lower_bound'])}"),
        tile(_share(pairs["recall"]["value"]), f"recall, {_range(pairs['recall'])}"),
        tile(_share(pairs["f1"]["value"]), f"F1, {_range(pairs['f1'])}"),
        tile(
            f"{clusters['false_merges_per_10_000']['value']:.2f}",
            f"false merges per 10,000 records ({clusters['false_merges']:,} in {clusters['records']:,})",
        ),
    ]
    if "review" in figures:
        review = figures["review"]
        tiles.append(
            tile(
                f"{review['per_1000_records']['value']:.1f}",
                f"questions per 1,000 records, {_share(review['matches']['value'])} about one bearer",
            )
        )
    if "parity" in figures:
        parity = figures["parity"]
        wrong = parity["level_mismatches"] + parity["weight_mismatches"]
        text = f"mismatches of online and batch in {parity['pairs']:,} pairs"
        tiles.append(tile(f"{wrong:,}", text, "bad" if wrong else "good"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)


def _range(estimate: Figures) -> str:
    return f"{_share(estimate['low'])} to {_share(estimate['high'])}"


def _estimate(estimate: Figures) -> Html:
    return "–" if estimate["value"] is None else f"{_share(estimate['value'])}<br><small>{_range(estimate)}</small>"


def _ways(ways: Mapping[str, Figures]) -> Html:
    plain_s = ways.get("splink_stock", {}).get("seconds", {}).get("predict_and_cluster")
    rows = []
    for way, figures in ways.items():
        pairs, clusters, seconds = figures["pairs"], figures["clusters"], figures["seconds"]
        took = seconds.get("predict_and_cluster")
        times = (
            "–"
            if took is None
            else f"{took:,.1f} s" + (f"<br><small>{took / plain_s:.2f} ×</small>" if plain_s else "")
        )
        other = figures["facts"].get("pairs_other_than_batch")
        threshold = figures["facts"].get("threshold")
        notes = [f"threshold {threshold}"] if threshold and threshold[0].isdigit() else []
        if other is not None:
            notes.append(f"{other:,} pairs other than batch")
        label = "<br>".join([escape(WAYS.get(way, way)), *(f"<small>{escape(each)}</small>" for each in notes)])
        rows.append(
            (
                label,
                _estimate(pairs["precision"]),
                _estimate(pairs["recall"]),
                _estimate(pairs["f1"]),
                _share(clusters["b3_f1"]["value"]),
                _share(clusters["exact_entities"]["value"]),
                f"{pairs['false_pairs']:,}",
                f"{clusters['false_merges_per_10_000']['value']:.2f}",
                f"{figures['review']['per_1000_records']['value']:.1f}" if "review" in figures else "–",
                times,
            )
        )
    head = (
        "linker", "precision", "recall", "F1", "B³ F1", "exact<br>bearers", "false<br>pairs",
        "false merges<br>per 10,000", "questions<br>per 1,000", "predict and<br>cluster",
    )  # fmt: skip
    caption = (
        "All on the same rows, in this run. Small figures: 95 % intervals by bootstrap over bearers; times as ratio to "
        "plain Splink."
    )
    return table(head, rows, caption, ours=1)


def _missed(figures: Figures) -> Html:
    missed = figures["missed"]
    total = sum(each["pairs"] for each in missed.values())
    if not total:
        return "<h3>Missed pairs</h3><p>No true pair was missed.</p>"
    stack, key = [], []
    for stage, (name, colour) in MISSED.items():
        pairs, joins = missed[stage]["pairs"], missed[stage]["joins"]
        title = f"{name}: {pairs:,} pairs, {joins:,} joins"
        if pairs:
            stack.append(f'<div style="flex:{pairs};background:{colour}" title="{title}">{pairs:,}</div>')
        key.append(f'<span><i style="background:{colour}"></i>{name}: {pairs:,} pairs in {joins:,} joins</span> ')
    return (
        f"<h3>Where the {total:,} missed pairs were lost</h3>"
        f'<div class="stack">{"".join(stack)}</div><p class="soft key">{"".join(key)}</p>'
    )


def _charts(figures: Figures, ways: Mapping[str, Figures]) -> Html:
    weights, thresholds = figures["weights"], figures["thresholds"]
    further_left = f"; {weights['below']:,} compared pairs lie further left" if weights["below"] else ""
    largest = figures["cluster_sizes"]["largest_cluster"]
    drawn = (
        (
            "Match weights",
            charts.weight_histogram(weights, thresholds),
            _key(match="matches", stranger="strangers") + further_left,
        ),
        (
            "Precision and recall",
            charts.precision_recall(weights, thresholds, ways),
            "Line: if the weight alone decided. Points: what each linker reached with its clusters. Axes count nines.",
        ),
        (
            "Calibration",
            charts.calibration(weights),
            "Dashed: the probability that a weight stands for. Points: share of matches among pairs of that weight.",
        ),
        (
            "Cluster sizes",
            charts.cluster_sizes(figures["cluster_sizes"]),
            _key(match="clusters", expected="true bearers") + f"; the largest cluster has {largest:,} records",
        ),
    )
    body = "".join(
        f"<figure><b>{title}</b>{chart}<figcaption>{caption}</figcaption></figure>" for title, chart, caption in drawn
    )
    return f'<div class="charts">{body}</div>'


def _key(**names: str) -> Html:
    """Return a legend: colour → what has it."""
    parts = (f'<span><i style="background:var(--{colour})"></i>{name}</span> ' for colour, name in names.items())
    return f'<span class="key">{"".join(parts)}</span>'


def _strata(title: str, strata: Mapping[str, Figures]) -> Html:
    shown = {name: each for name, each in strata.items() if each["true_pairs"] or each["found_pairs"]}
    if not shown:
        return ""
    lowest = min((each["recall"]["low"] for each in shown.values() if each["recall"]["low"] is not None), default=0.9)
    left = max(0.0, min(0.95, int(20 * lowest) / 20))
    rows = []
    for name, each in shown.items():
        recall = each["recall"]
        bar = (
            charts.interval_bar(recall["low"], recall["value"], recall["high"], left)
            if recall["value"] is not None
            else ""
        )
        false = f'<span style="color:var(--bad)">{each["false_pairs"]:,}</span>' if each["false_pairs"] else "0"
        rows.append(
            (
                escape(name.replace("_", " ")),
                f"{each['true_pairs']:,}",
                f"{each['found_pairs']:,}",
                false,
                _share(each["precision"]["value"]),
                _share(each["precision_lower_bound"]),
                _estimate(recall),
                bar,
                _share(each["f1"]["value"]),
            )
        )
    head = (
        "", "true pairs", "found", "false", "precision", "at least", "recall",
        f"<small>{percent(left)} to 100 %</small>", "F1",
    )  # fmt: skip
    return f"<h3>{title}</h3>{table(head, rows)}"


def _blocking(blocking: Figures) -> Html:
    rows = [
        (
            escape(rule["rule"].replace("_", " ")),
            _share(rule["recall"]["value"]),
            f"{rule['pairs']:,}",
            f"{rule['only_pairs']:,}",
            f"{rule['only_true_pairs']:,}",
            "–" if rule["largest_block"] is None else f"{rule['largest_block']:,}",
            "–" if rule["truncated_keys"] is None else f"{rule['truncated_keys']:,}",
        )
        for rule in blocking["rules"]
    ]
    head = (
        "rule",
        "recall<br>alone",
        "pairs",
        "pairs only<br>it makes",
        "of them<br>true",
        "largest<br>block",
        "keys<br>cut",
    )
    caption = (
        f"Together: {_share(blocking['recall']['value'])} of the true pairs ({_range(blocking['recall'])}) "
        f"in {blocking['pairs']:,} compared pairs, {blocking['pairs_per_record']:.1f} for each record."
    )
    return f"<h3>Blocking</h3>{table(head, rows, caption)}"


def _levels(levels: Sequence[Figures]) -> Html:
    def bits(m: float | None, u: float | None) -> float | None:
        return math.log2(m / u) if m and u else None

    widest = max(abs(found) for each in levels if (found := bits(each["m"], each["u"])) is not None)
    rows, previous = [], ""
    for each in levels:
        weight, observed = bits(each["m"], each["u"]), bits(each["observed_m"], each["observed_u"])
        if weight is None:
            continue
        comparison = each["comparison"]
        rows.append(
            (
                "" if comparison == previous else f"<b>{escape(comparison.replace('_', ' '))}</b>",
                escape(each["label"].replace("_", " ")),
                charts.level_bar(weight, observed, widest),
                f"{weight:+.1f}",
                "–" if observed is None else f"{observed:+.1f}",
                f"{each['m']:.2g}",
                _small(each["observed_m"]),
                f"{each['u']:.2g}",
                _small(each["observed_u"]),
            )
        )
        previous = comparison
    head = ("comparison", "level", "weight", "bits", "seen", "m", "seen", "u", "seen")
    caption = (
        "Bar: the model's weight. Tick and “seen”: what true pairs and random strangers of this set show; – where one "
        "showed none."
    )
    return f"<h3>Levels: m and u</h3>{table(head, rows, caption)}"


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _examples(kinds: Mapping[str, Sequence[Figures]]) -> Html:
    parts = []
    for kind, found in kinds.items():
        shown = "".join(_example(each) for each in found)
        parts.append(f"<details><summary>{escape(kind)}: {len(found)} examples</summary>{shown}</details>")
    return f"<h3>Errors that remain</h3>{''.join(parts)}"


def _example(example: Figures) -> Html:
    one, other = example["records"]
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(one.get(name, ''))}</td><td>{escape(other.get(name, ''))}</td></tr>"
        for name in dict.fromkeys([*one, *other])
    )
    levels = " · ".join(f"{escape(name)} <b>{escape(level)}</b>" for name, level in example["comparisons"].items())
    bearer = "one bearer" if example["is_one_bearer"] else "two bearers"
    bits = "" if example["bits"] is None else f", {example['bits']:+.1f} bits"
    return f'<div class="example"><b>{bearer}{bits}</b><table>{rows}</table><p class="soft">{levels}</p></div>'


def _differences(differences: Sequence[Figures]) -> Html:
    if not differences:
        return ""
    rows = []
    for each in differences:
        style = {"better": "good", "worse": "bad"}.get(each["verdict"], "")
        rows.append(
            (
                escape(each["where"]),
                escape(each["figure"]),
                f"{each['before']:.6g}",
                f"{each['after']:.6g}",
                f'<span style="color:var(--{style})">{escape(each["verdict"])}</span>'
                if style
                else escape(each["verdict"]),
            )
        )
    head = ("where", "figure", "before", "now", "")
    return f"<h2>Against the run before</h2>{table(head, rows)}"
