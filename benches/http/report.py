"""The figures as Markdown."""

from statistics import median

import load

TITLES = {
    "floor": "the floor: hyper, one answer for all",
    "accrue": "**accrue**",
    "axum": "axum, `SignedCookieJar`",
    "express": "Express, `ably`",
    "fastapi": "FastAPI, `ably`",
}

BY_LOAD, BY_OTHERS = " \\*", " †"


class Figures:
    def __init__(self, samples):
        self.samples = samples
        self.names = sorted({sample["contestant"] for sample in samples}, key=list(TITLES).index)
        self.sizes = sorted({sample["channels"] for sample in samples})

    def of(self, name, size, what):
        """One figure for each round."""
        rounds = [s for s in self.samples if (s["contestant"], s["channels"]) == (name, size)]
        return [sample[what] for sample in sorted(rounds, key=lambda s: s["round"])]

    def ratios(self, name, to, size, what):
        """Of the same round each, so that what slows down a whole round is in both."""
        return [a / b for a, b in zip(self.of(name, size, what), self.of(to, size, what), strict=True)]

    def ratio(self, name, to, size, what="cpu_us_per_request"):
        return median(self.ratios(name, to, size, what))

    def table(self, what, head, unit):
        yield row(head, *(f"{size} channels" for size in self.sizes))
        yield row("---", *("---:" for _ in self.sizes))
        for name in self.names:
            yield row(TITLES[name], *(self.cell(name, size, what, unit) for size in self.sizes))

    def cell(self, name, size, what, unit):
        text = unit(median(self.of(name, size, what)))
        if name != "floor":
            ratios = self.ratios(name, "floor", size, what)
            text += f" · {digits(median(ratios))}× ({digits(min(ratios))}–{digits(max(ratios))})"
        if what == "requests_per_second":
            text += self.limit(name, size)
        return text

    def limit(self, name, size):
        """What kept the server from using its core up, if anything did."""
        if median(self.of(name, size, "cpu_share")) >= 0.95:
            return ""
        return BY_LOAD if median(self.of(name, size, "load_cpu_share")) >= 0.9 else BY_OTHERS


def row(*cells):
    return f"| {' | '.join(cells)} |"


def digits(number):
    """Three of them."""
    if number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}" if number >= 0.1 else f"{number:.3f}"


def markdown(figures, footprint, machine, versions):
    yield machine
    yield ""
    yield "; ".join(f"{name} {version}" for name, version in versions.items())
    yield ""
    yield from figures.table("cpu_us_per_request", "CPU time per request, µs", digits)
    yield ""
    head = f"requests/s, {load.CONNECTIONS} connections"
    yield from figures.table("requests_per_second", head, lambda number: f"{number:,.0f}")
    yield ""
    yield "Median of all rounds, and the median (least–greatest) of the ratios to the floor in the same round."
    limits = {figures.limit(name, size) for name in figures.names for size in figures.sizes}
    if BY_LOAD in limits:
        yield f"{BY_LOAD.strip()} The load generator could do no more; the server used less than 95 % of its core."
    if BY_OTHERS in limits:
        yield f"{BY_OTHERS.strip()} Something else ran on these cores; the server got less than 95 % of its own."
    yield ""
    yield row("", "floor", "accrue")
    yield row("---", "---:", "---:")
    for what, unit in FOOTPRINT.items():
        values = [footprint[name].get(what) for name in ("floor", "accrue")]
        if any(values):
            yield row(what, *(unit(value) if value else "" for value in values))


def megabytes(number):
    return f"{number / 1e6:.2f} MB"


FOOTPRINT = {
    "resident memory, 1 connection": megabytes,
    "resident memory, 1,000 connections": megabytes,
    "from exec to the first answer": lambda seconds: f"{seconds * 1e3:.2f} ms",
    "binary": megabytes,
    "static binary": megabytes,
}


def bounds(figures, footprint):
    """What is aimed at, what it is, and whether that is enough."""
    if any(figures.limit(name, size) == BY_OTHERS for name in ("floor", "accrue") for size in figures.sizes):
        yield "Something else ran on these cores. That costs the floor more than others, so its ratios are too small."
        yield ""
    cpu = "CPU time per request"
    for size, most in ((10, 1.30), (3, 1.20), (50, 1.75)):
        yield at_most(f"{cpu} to the floor's, {size} channels", figures.ratio("accrue", "floor", size), most, "×")
    for name, least in (("express", 20), ("fastapi", 20), ("axum", 2)):
        if name in figures.names:
            value = figures.ratio(name, "accrue", 10)
            yield line(f"{name}'s {cpu} to accrue's, 10 channels", value, f"≥ {least}×", "×", value >= least)
    memory = "resident memory, 1,000 connections"
    yield at_most(f"{memory}, to the floor's", footprint["accrue"][memory] / footprint["floor"][memory], 1.05, "×")
    yield at_most("from exec to the first answer", footprint["accrue"]["from exec to the first answer"] * 1e3, 5, " ms")
    if "static binary" in footprint["accrue"]:
        size = footprint["accrue"]["static binary"] / 1e6
        yield line("static binary", size, "< 6 MB", " MB", size < 6)


def at_most(what, value, most, unit):
    return line(what, value, f"≤ {most}{unit}", unit, value <= most)


def line(what, value, bound, unit, met):
    return f"- {what}: {digits(value)}{unit}, {bound}: {'met' if met else 'not met'}"
