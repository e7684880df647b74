#!/usr/bin/env python3
"""Computes figures.json: what the statistics must come to, by other people's code.

scipy and statsmodels wherever they have the thing; plain numpy, written from the
papers, for the always-valid interval, the delta method and CUPED. It shares
nothing with the Go code but the data, which figures.json carries along.

    python3 -m venv v && v/bin/pip install scipy statsmodels
    v/bin/python figures.py > figures.json

Only needed when a case is added; the tests read figures.json.
"""

import json
import sys

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
    samplesize_proportions_2indep_onetail,
)

ALPHA, TUNED_FOR = 0.05, 5000


def always_valid(estimate, per_user_sd, users):
    """Waudby-Smith et al. 2021, Theorem 2.2, two-sided; rho as in their section on tuning."""
    a = -2 * np.log(ALPHA)
    rho = np.sqrt((a + np.log(a + 1)) / TUNED_FOR)
    half = per_user_sd * np.sqrt(
        2 * (users * rho**2 + 1) / (users**2 * rho**2) * np.log(np.sqrt(users * rho**2 + 1) / ALPHA)
    )
    return [estimate - half, estimate + half]


def always_valid_p(estimate, per_user_sd, users):
    """The level at which the interval just touches zero, found by search."""
    a = -2 * np.log(ALPHA)
    rho2 = (a + np.log(a + 1)) / TUNED_FOR

    def touches(log_level):
        inner = np.log(np.sqrt(users * rho2 + 1)) - log_level
        half = per_user_sd * np.sqrt(2 * (users * rho2 + 1) / (users**2 * rho2) * inner)
        return half - abs(estimate)

    if touches(0.0) >= 0:
        return 1.0
    return float(np.exp(brentq(touches, -700, 0, xtol=1e-13, rtol=1e-13)))


def numeric_lift(mean_c, var_mean_c, mean_a, var_mean_a):
    """Delta method with the gradient taken numerically: independent of the algebra."""
    f = lambda c, a: a / c - 1
    hc, ha = abs(mean_c) * 1e-5, (abs(mean_a) or 1) * 1e-5
    gc = (f(mean_c + hc, mean_a) - f(mean_c - hc, mean_a)) / (2 * hc)
    ga = (f(mean_c, mean_a + ha) - f(mean_c, mean_a - ha)) / (2 * ha)
    var = gc * gc * var_mean_c + ga * ga * var_mean_a
    return f(mean_c, mean_a), np.sqrt(var)


def conversion(n0, c0, n1, c1):
    z, p = proportions_ztest([c1, c0], [n1, n0])
    low, high = confint_proportions_2indep(c1, n1, c0, n0, method="wald", compare="diff", alpha=ALPHA)
    p0, p1 = c0 / n0, c1 / n1
    se = np.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1)
    sd = se * np.sqrt(n0 + n1)
    out = dict(control=[n0, c0], arm=[n1, c1], wilson=list(proportion_confint(c1, n1, ALPHA, 'wilson')), diff=p1 - p0, z=z, p=p, ci=[low, high],
               always_valid_ci=always_valid(p1 - p0, sd, n0 + n1), always_valid_p=always_valid_p(p1 - p0, sd, n0 + n1))
    if c0:
        lift, lse = numeric_lift(p0, p0 * (1 - p0) / n0, p1, p1 * (1 - p1) / n1)
        q = stats.norm.ppf(1 - ALPHA / 2)
        out.update(lift=lift, lift_ci=[lift - q * lse, lift + q * lse],
                   lift_always_valid_ci=always_valid(lift, lse * np.sqrt(n0 + n1), n0 + n1))
    return out


def value(y0, y1, x0=None, x1=None):
    t = stats.ttest_ind(y1, y0, equal_var=False)
    ci = t.confidence_interval(1 - ALPHA)
    n = len(y0) + len(y1)
    v0, v1 = np.var(y0, ddof=1) / len(y0), np.var(y1, ddof=1) / len(y1)
    diff = np.mean(y1) - np.mean(y0)
    lift, lse = numeric_lift(np.mean(y0), v0, np.mean(y1), v1)
    q = stats.norm.ppf(1 - ALPHA / 2)
    out = dict(control=list(y0), arm=list(y1), diff=diff, t=t.statistic, df=t.df, p=t.pvalue, ci=[ci.low, ci.high],
               sd=[np.std(y0, ddof=1), np.std(y1, ddof=1)],
               lift=lift, lift_ci=[lift - q * lse, lift + q * lse],
               always_valid_ci=always_valid(diff, np.sqrt(n * (v0 + v1)), n))
    if x0 is not None:
        y, x = np.concatenate([y0, y1]), np.concatenate([x0, x1])
        theta = np.polyfit(x, y, 1)[0]  # the slope of least squares is cov / var
        adj = y - theta * (x - x.mean())
        a0, a1 = adj[: len(y0)], adj[len(y0) :]
        ta = stats.ttest_ind(a1, a0, equal_var=False)
        cia = ta.confidence_interval(1 - ALPHA)
        se2 = lambda a, b: np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)
        out["covariate"] = dict(control=list(x0), arm=list(x1), theta=theta, diff=a1.mean() - a0.mean(), t=ta.statistic,
                                df=ta.df, p=ta.pvalue, ci=[cia.low, cia.high],
                                variance_reduction=1 - se2(a0, a1) / se2(y0, y1))
    return out


def ratio(seen, weights):
    w = np.array(weights, float)
    chi2, p = stats.chisquare(seen, sum(seen) * w / w.sum())
    return dict(seen=seen, weights=weights, chi2=chi2, p=p)


def ratio_evidence(seen, weights):
    """Ratio of the probabilities of the counts, Dirichlet-multinomial to multinomial."""
    w = np.array(weights, float) / sum(weights)
    null = stats.multinomial(sum(seen), w).logpmf(seen)
    e = [np.exp(stats.dirichlet_multinomial(k * w, sum(seen)).logpmf(seen) - null) for k in (10, 100, 10_000)]
    return dict(seen=seen, weights=weights, e=np.mean(e))


def excess_evidence(hits, n, most):
    """The average of the likelihood ratio over rates above most, integrated numerically."""
    prior = stats.beta(1, (1 - most) / most)

    def log_ratio(q):
        return hits * np.log(q / most) + (n - hits) * np.log((1 - q) / (1 - most))

    best = min(max(hits / n, most), 1 - 1e-12)
    top = log_ratio(best)
    sd = np.sqrt(max(best * (1 - best), 1 / n) / n)
    grid = sorted({most, *np.clip(best + sd * np.array([-12, -6, -3, -1, 0, 1, 3, 6, 12, 40]), most, 1 - 1e-12), 1 - 1e-12})
    total = sum(quad(lambda q: np.exp(log_ratio(q) - top) * prior.pdf(q), a, b, epsabs=0, epsrel=1e-11, limit=500)[0]
                for a, b in zip(grid, grid[1:]) if b > a)
    return dict(hits=hits, n=n, most=most, e=np.exp(top + np.log(total / prior.sf(most))))


def plan(baseline, lift, power, alpha, split):
    rate = baseline * (1 + lift)
    r = split[1] / split[0]
    n = samplesize_proportions_2indep_onetail(rate - baseline, baseline, power, ratio=1 / r, alpha=alpha,
                                              alternative="two-sided")
    # Its n is that of group 1, the arm; its ratio is nobs2 / nobs1.
    sd = np.sqrt(baseline * (1 - baseline) * (1 + r) + rate * (1 - rate) * (1 + r) / r)
    z = stats.norm.ppf(power)

    def short(t):
        low, high = always_valid(0, sd, t)
        return high + z * sd / np.sqrt(t) - abs(rate - baseline)

    return dict(baseline=baseline, lift=lift, power=power, alpha=alpha, split=split,
                control=n / r, arm=n, always_valid=brentq(short, 10, 1e12, xtol=1e-3, rtol=1e-14))


def main():
    rng = np.random.default_rng(20261127)

    def spending(n, share, mean):
        y = np.where(rng.random(n) < share, rng.lognormal(np.log(mean), 0.8, n), 0)
        return np.round(y, 2)

    def pairs(n, m, effect):
        x0, x1 = np.round(rng.gamma(2, 20, n), 2), np.round(rng.gamma(2, 20, m), 2)
        return (np.round(0.7 * x0 + rng.normal(0, 12, n), 2), np.round(0.7 * x1 + rng.normal(effect, 12, m), 2), x0, x1)

    shifted = pairs(60, 40, 3)
    cases = dict(
        conversion=[
            conversion(10_000, 200, 10_000, 260), conversion(1_000, 20, 4_000, 118), conversion(50, 5, 60, 4),
            conversion(500_000, 10_000, 500_000, 10_300), conversion(100, 0, 100, 7), conversion(100, 100, 100, 93),
            conversion(1, 0, 1_000, 30), conversion(3_000_000, 61_234, 7_000_000, 150_000), conversion(120, 60, 130, 65),
        ],
        value=[
            value(np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 4, 6, 8, 10, 12])),
            value(spending(80, 0.3, 40), spending(120, 0.35, 42)),
            value(*pairs(50, 70, 6)), value(*pairs(30, 30, 0)),
            # Large numbers with small differences: naive sums of squares lose them.
            value(shifted[0] + 1e7, shifted[1] + 1e7, shifted[2], shifted[3]),
            value(np.array([1.0, 3]), np.array([2.0, 9])),
        ],
        ratio=[ratio([1000, 1000], [1, 1]), ratio([2010, 7990], [20, 80]), ratio([5100, 4900], [50, 50]),
               ratio([100_000, 101_500], [1, 1]), ratio([330, 340, 335], [1, 1, 1]), ratio([0, 20], [1, 1]),
               ratio([0, 3], [20, 80]), ratio([120, 300, 180, 400], [10, 30, 20, 40])],
        ratio_evidence=[ratio_evidence([1000, 1000], [1, 1]), ratio_evidence([2010, 7990], [20, 80]), ratio_evidence([5300, 4700], [50, 50]),
                        ratio_evidence([100_000, 101_500], [1, 1]), ratio_evidence([330, 340, 335], [1, 1, 1]), ratio_evidence([0, 20], [1, 1]),
                        ratio_evidence([120, 300, 180, 400], [10, 30, 20, 40])],
        excess_evidence=[excess_evidence(*c) for c in ((0, 1, 0.02), (1, 1, 0.02), (0, 500, 0.02), (25, 1000, 0.02), (45, 1000, 0.02),
                                                      (20_900, 1_000_000, 0.02), (19_000, 1_000_000, 0.02), (70, 100, 0.6), (7, 300_000, 0.00001))],
        holm=[dict(p=p, adjusted=list(multipletests(p, method="holm")[1]))
              for p in ([0.01, 0.04, 0.03], [0.5], [0.2, 0.2, 0.9, 1.0], [0.04, 0.001, 0.02, 0.03, 0.5], [0.6, 0.7])],
        plan=[plan(0.02, 0.2, 0.8, 0.05, [50, 50]), plan(0.02, 0.2, 0.9, 0.01, [50, 50]), plan(0.1, -0.1, 0.8, 0.05, [50, 50]),
              plan(0.05, 0.05, 0.8, 0.05, [20, 80]), plan(0.3, 0.5, 0.95, 0.1, [2, 1]), plan(0.0005, 1, 0.8, 0.05, [90, 10])],
    )
    json.dump(cases, sys.stdout, indent=1, default=lambda o: o.tolist() if hasattr(o, "tolist") else float(o))
    print()


main()
