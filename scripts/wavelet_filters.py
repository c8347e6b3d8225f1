"""Prints the table of src/defense/wavelet-filters.ts: scaling filters to 17 digits. Python 3, mpmath 1.3.

db N   Daubechies 1988: the minimum-phase root of P(y) = sum_{k<N} C(N-1+k, k) y^k, y = (2 - z - 1/z) / 4.
coif N Daubechies 1993: 6N taps, 2N vanishing moments of the wavelet, 2N - 1 of the scaling function about tap 2N; found by
       Newton's method from the published first digits.

The symlets are not made here: the reference values stand on the tables in common use (MATLAB, PyWavelets), which are right
to 12 digits, and the project uses the same digits.
"""
from mpmath import mp, mpf, mpc, matrix, lu_solve, polyroots, binomial, sqrt, conj

mp.dps = 60

COIF_START = {
    1: [-0.0727, 0.3379, 0.8526, 0.3849, -0.0727, -0.0157],
    2: [0.0164, -0.0415, -0.0674, 0.3861, 0.8127, 0.4170, -0.0765, -0.0594, 0.0237, 0.0056, -0.0018, -0.0007],
    3: [-0.0038, 0.0078, 0.0235, -0.0658, -0.0611, 0.4052, 0.7938, 0.4285, -0.0718, -0.0823, 0.0346, 0.0159, -0.0090,
        -0.0026, 0.0011, 0.0005, -0.0001, 0.0000],
}


def root_groups(n):
    """Roots inside the unit circle of the factor without (1+z)^2N: real ones alone, complex ones in conjugate pairs."""
    if n == 1:
        return []
    ys = polyroots([binomial(n - 1 + k, k) for k in range(n - 1, -1, -1)], maxsteps=500, extraprec=400)
    groups = []
    for y in ys:
        if y.imag < -mpf(10) ** -30:
            continue
        b = 1 - 2 * y
        z = b + sqrt(b * b - 1)
        if abs(z) > 1:
            z = 1 / z
        groups.append([z.real if isinstance(z, mpc) else z] if abs(mpc(z).imag) < mpf(10) ** -30 else [z, conj(z)])
    return groups


def taps(n, roots):
    p = [mpf(1)]
    for root in [mpf(-1)] * n + list(roots):
        p = [(p[i] if i < len(p) else 0) - (root * p[i - 1] if i else 0) for i in range(len(p) + 1)]
    p = [mpc(v).real for v in p]
    scale = sqrt(mpf(2)) / sum(p)
    return [v * scale for v in p]


def db(n):
    return taps(n, [z for g in root_groups(n) for z in g])


def coif(n):
    x = matrix([mpf(v) for v in COIF_START[n]])
    m = 6 * n

    def equations(h):
        out = [sum(h[i] * h[i + 2 * k] for i in range(m - 2 * k)) - (1 if k == 0 else 0) for k in range(3 * n)]
        out.append(sum(h) - sqrt(mpf(2)))
        out += [sum((-1) ** i * mpf(i - 2 * n) ** k * h[i] for i in range(m)) for k in range(2 * n)]
        out += [sum(mpf(i - 2 * n) ** k * h[i] for i in range(m)) for k in range(1, 2 * n)]
        return matrix(out)

    for _ in range(60):
        f = equations(x)
        j = matrix(len(f), m)
        for c in range(m):
            y = x.copy(); y[c] += mpf(10) ** -30
            d = (equations(y) - f) * mpf(10) ** 30
            for r in range(len(f)):
                j[r, c] = d[r]
        step = lu_solve(j, -f)      # more equations than unknowns: least squares
        x += step
        if max(abs(v) for v in step) < mpf(10) ** -40:
            break
    assert max(abs(v) for v in equations(x)) < mpf(10) ** -25, n
    return list(x)


if __name__ == "__main__":
    table = {}
    for n in range(1, 11): table[f"db{n}"] = db(n)
    for n in (1, 2, 3): table[f"coif{n}"] = coif(n)
    for name, h in table.items():
        print(f"  {name}: [{', '.join(mp.nstr(v, 17) for v in h)}],")
