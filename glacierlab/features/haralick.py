"""GLCM features as formulas on statistics of a window's pixel pairs: of numbers, NumPy arrays, torch tensors.

A formula's parameters name what it needs. Of pairs of levels i and j, `pairs` is the number; `sum_`, `sum2`,
`sum3`, `sum4` are the sums of powers of i + j; `diff`, `diff2` those of abs(i - j) and its square; `skew` and
`skew2` of i - j and i² - j²; `near`, `near2` of 1 / (1 + abs(i - j)) and 1 / (1 + (i - j)²). The matrix holds
`counts`, each pair both ways round where it is symmetric; `squares` and `peak` are the sum of its squares and
its largest cell. What ends in `entropy` is an entropy [nat] times the number counted: of the matrix, of i + j
(`total`), of abs(i - j) (`step`), of i, of j.

So (sum2 + diff2) / 2 is the sum of i² + j², and (sum2 - diff2) / 4 that of i j. All but entropies and
reciprocals are whole numbers, exact in float64 until the last division.
"""

from inspect import signature

from numba.extending import register_jitable

E = 2.718281828459045


@register_jitable
def scatter(pairs, total, squares):
    """4 pairs² times a variance, of twice a level's sum and four times its squares' sum."""
    return pairs * squares - total * total


@register_jitable
def shared(entropy, first_entropy, second_entropy):
    """What one level tells of the other, times counts. HXY1 and HXY2 are both HX + HY."""
    told = first_entropy + second_entropy - entropy
    return told * (told > 0)


@register_jitable
def third_power(n, one, two, three, at):
    """Sum of (z - at)³, of the sums of powers of n numbers z."""
    return three - at * (3 * two - at * (3 * one - at * n))


@register_jitable
def fourth_power(n, one, two, three, four, at):
    """Sum of (z - at)⁴."""
    return four - at * (4 * three - at * (6 * two - at * (4 * one - at * n)))


def contrast(pairs, diff2):
    return diff2 / pairs


def dissimilarity(pairs, diff):
    return diff / pairs


def homogeneity(pairs, near2):
    return near2 / pairs


def inverse_difference(pairs, near):
    return near / pairs


def asm(counts, squares):
    return squares / (counts * counts)


def energy(counts, squares):
    return squares**0.5 / counts


def entropy(counts, entropy):
    return entropy / counts


def correlation(pairs, sum_, sum2, diff2, skew, skew2):
    first = scatter(pairs, sum_ + skew, sum2 + diff2 + 2 * skew2)
    second = scatter(pairs, sum_ - skew, sum2 + diff2 - 2 * skew2)
    together = pairs * (sum2 - diff2) - (sum_ + skew) * (sum_ - skew)
    spread = (first * second) ** 0.5
    constant = spread == 0  # and then together is 0
    return (together + constant) / (spread + constant)


def mean(pairs, sum_, skew):
    return (sum_ + skew) / (2 * pairs)


def variance(pairs, sum_, sum2, diff2, skew, skew2):
    return scatter(pairs, sum_ + skew, sum2 + diff2 + 2 * skew2) / (4 * pairs * pairs)


def std(pairs, sum_, sum2, diff2, skew, skew2):
    return scatter(pairs, sum_ + skew, sum2 + diff2 + 2 * skew2) ** 0.5 / (2 * pairs)


def maximum_probability(counts, peak):
    return peak / counts


# Powers about the mean lose digits where it is large, so they are first taken about a whole number near it.


def cluster_shade(pairs, sum_, sum2, sum3):
    base = (sum_ / pairs + 0.5) // 1
    one, two = sum_ - base * pairs, sum2 - base * (2 * sum_ - base * pairs)
    three = third_power(pairs, sum_, sum2, sum3, base)
    return third_power(pairs, one, two, three, one / pairs) / pairs


def cluster_prominence(pairs, sum_, sum2, sum3, sum4):
    base = (sum_ / pairs + 0.5) // 1
    one, two = sum_ - base * pairs, sum2 - base * (2 * sum_ - base * pairs)
    three = third_power(pairs, sum_, sum2, sum3, base)
    four = fourth_power(pairs, sum_, sum2, sum3, sum4, base)
    return fourth_power(pairs, one, two, three, four, one / pairs) / pairs


def sum_average(pairs, sum_):
    return sum_ / pairs


def sum_variance(pairs, sum_, sum2):
    return scatter(pairs, sum_, sum2) / (pairs * pairs)


def sum_entropy(pairs, total_entropy):
    return total_entropy / pairs


def difference_variance(pairs, diff, diff2):
    return scatter(pairs, diff, diff2) / (pairs * pairs)


def difference_entropy(pairs, step_entropy):
    return step_entropy / pairs


def imc1(entropy, first_entropy, second_entropy):
    larger = (first_entropy + second_entropy + abs(first_entropy - second_entropy)) / 2
    return -shared(entropy, first_entropy, second_entropy) / (larger + (larger == 0))


def imc2(counts, entropy, first_entropy, second_entropy):
    return (1 - E ** (-2 * shared(entropy, first_entropy, second_entropy) / counts)) ** 0.5


FEATURES = {
    formula.__name__: formula
    for formula in (
        contrast, dissimilarity, homogeneity, inverse_difference, asm, energy, entropy, correlation, mean,
        variance, std, maximum_probability, cluster_shade, cluster_prominence, sum_average, sum_variance,
        sum_entropy, difference_variance, difference_entropy, imc1, imc2,
    )
}  # fmt: skip


def needs(formula):
    """The names of the statistics that a formula takes, in order."""
    return tuple(signature(formula).parameters)
