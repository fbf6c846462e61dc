"""Exercise 9, solved."""

from tinyem.checking import tell


def could_hide(n, hits):
    if hits:
        return None  # it is found: now measure its rate
    return 1 - 0.05 ** (1 / n) if n else 1.0


def spend(budget, probes):
    if not probes:
        return {}
    each, left = divmod(budget, len(probes))
    return {probe: each + (i < left) for i, probe in enumerate(probes)}


def suspicious(counts, control):
    found = []
    for probe, (hits, n) in counts.items():
        control_hits, control_n = control.get(probe, (0, 0))
        if hits < 3 or not n or not control_n:
            continue
        p = (hits + control_hits) / (n + control_n)
        error = (p * (1 - p) * (1 / n + 1 / control_n)) ** 0.5
        if hits / n - control_hits / control_n > 2 * error:
            found.append(probe)
    return sorted(found)


def audit(ask, probes, budget, control):
    counts = {probe: (sum(ask(probe) for _ in range(n)), n) for probe, n in spend(budget, probes).items()}
    return suspicious(counts, control)


if __name__ == "__main__":
    tell(9, __file__)
