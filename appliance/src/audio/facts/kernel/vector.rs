//! Vectors as plain arrays: each operation is a loop over the lanes that the compiler turns into one instruction.
//!
//! Larger expressions are written in these operations, not as one loop over a long array: the compiler then keeps every
//! value in a register and never guesses which loop to vectorise. `FMA` is set where the caller was compiled for it;
//! an unfused `mul_add` would be a library call per lane. No closures around it: they lose the caller's features.

// Lane by lane is what these functions say; iterators would hide it from reader and compiler.
#![allow(clippy::needless_range_loop)]

/// Eight samples.
pub type V = [f32; 8];
/// Eight filter memories.
pub type D = [f64; 8];

/// `a * b + c`.
#[inline(always)]
pub fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `a * b + c` in every lane.
#[inline(always)]
pub fn fma<const FMA: bool>(a: V, b: V, c: V) -> V {
    let mut r = c;
    for lane in 0..8 {
        r[lane] = mul_add::<FMA>(a[lane], b[lane], c[lane]);
    }
    r
}

#[inline(always)]
pub fn add(a: V, b: V) -> V {
    let mut r = a;
    for lane in 0..8 {
        r[lane] += b[lane];
    }
    r
}

#[inline(always)]
pub fn sub(a: V, b: V) -> V {
    let mut r = a;
    for lane in 0..8 {
        r[lane] -= b[lane];
    }
    r
}

#[inline(always)]
pub fn abs(a: V) -> V {
    let mut r = a;
    for lane in 0..8 {
        r[lane] = a[lane].abs();
    }
    r
}

/// The larger of each lane; a NaN in `b` is ignored. Not `f32::max`, which asks for NaN on both sides.
#[inline(always)]
pub fn max(a: V, b: V) -> V {
    let mut r = a;
    for lane in 0..8 {
        r[lane] = if b[lane] > a[lane] { b[lane] } else { a[lane] };
    }
    r
}

/// The smaller of each lane; a NaN in `b` is ignored.
#[inline(always)]
pub fn min(a: V, b: V) -> V {
    let mut r = a;
    for lane in 0..8 {
        r[lane] = if b[lane] < a[lane] { b[lane] } else { a[lane] };
    }
    r
}

/// The largest lane. Kept apart: inlined, its chain of comparisons spoils the order of lanes in the loop before it.
#[inline(never)]
pub fn highest(lanes: &V) -> f32 {
    let mut highest = lanes[0];
    for &lane in lanes {
        highest = if lane > highest { lane } else { highest };
    }
    highest
}

/// The smallest lane; kept apart like [`highest`].
#[inline(never)]
pub fn lowest(lanes: &V) -> f32 {
    let mut lowest = lanes[0];
    for &lane in lanes {
        lowest = if lane < lowest { lane } else { lowest };
    }
    lowest
}

/// Sum of the lanes, pairwise.
#[inline(always)]
pub fn total(a: V) -> f32 {
    ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
}

/// The totals of four vectors; kept apart like [`highest`].
#[inline(never)]
pub fn totals(vectors: &[V; 4]) -> [f32; 4] {
    vectors.map(total)
}

/// `a * b + c` in every lane.
#[inline(always)]
pub fn fma_d<const FMA: bool>(a: D, b: D, c: D) -> D {
    let mut r = c;
    for lane in 0..8 {
        r[lane] = if FMA { a[lane].mul_add(b[lane], c[lane]) } else { a[lane] * b[lane] + c[lane] };
    }
    r
}

#[inline(always)]
pub fn add_d(a: D, b: D) -> D {
    let mut r = a;
    for lane in 0..8 {
        r[lane] += b[lane];
    }
    r
}

#[inline(always)]
pub fn mul_d(a: D, b: D) -> D {
    let mut r = a;
    for lane in 0..8 {
        r[lane] *= b[lane];
    }
    r
}

/// Dot product over the shorter length, 16 partial sums wide.
#[inline(always)]
pub fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (mut even, mut odd) = ([0.0f32; 8], [0.0f32; 8]);
    let ((rows_a, rest_a), (rows_b, rest_b)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (x, y) in rows_a.iter().zip(rows_b) {
        even = fma::<FMA>(load(x, 0), load(y, 0), even);
        odd = fma::<FMA>(load(x, 8), load(y, 8), odd);
    }
    let mut sum = total(add(even, odd));
    for (x, y) in rest_a.iter().zip(rest_b) {
        sum = mul_add::<FMA>(*x, *y, sum);
    }
    sum
}

/// Eight values from `at`; lanes past the end, which no caller asks for, read as 0.
#[inline(always)]
pub fn load<const N: usize>(values: &[f32; N], at: usize) -> V {
    let mut r = [0.0; 8];
    if at + 8 <= N {
        r.copy_from_slice(&values[at..at + 8]);
    }
    r
}
