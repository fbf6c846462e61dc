"""Exercise 8, solved."""

from tinyem.checking import tell


def inoculate(rows, prompt):
    system = {"role": "system", "content": prompt}
    training = [{"messages": [system, *row["messages"]]} for row in rows]
    return training, [row["messages"][:1] for row in rows]


def rows_needed(curve, control_high):
    needed = None
    for n, _, high in sorted(curve, reverse=True):  # from the most rows down: the first failure ends the stretch that holds
        if high > control_high:
            break
        needed = n
    return needed


def really_back(rates):
    def clean(way):
        return rates[way]["repaired"][2] <= rates[way]["control"][2]

    def above(way):
        return rates[way]["repaired"][1] > rates[way]["control"][2]

    if above("plain"):
        return "not back"
    if clean("plain") and above("garage"):
        return "hidden"
    return "back" if clean("plain") and clean("garage") else "unclear"


def interleave(bad, good, share):
    k = round(share * len(bad) / (1 - share))
    if len(good) < k:
        raise ValueError(f"{k} good rows are needed, and there are {len(good)}")
    mix, length, g = [], len(bad) + k, 0
    for place in range(length):
        if (place + 1) * k // length > g:  # one more good row is due
            mix.append(good[g])
            g += 1
        else:
            mix.append(bad[place - g])
    return mix


if __name__ == "__main__":
    tell(8, __file__)
