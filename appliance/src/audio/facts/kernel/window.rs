//! The Kaiser window, from which the FIR filters are designed once at start.

/// Kaiser window at `position` in -1..=1 (0 beyond), shape `beta`; 1 at the centre.
pub fn kaiser(beta: f64, position: f64) -> f64 {
    if position.abs() > 1.0 {
        return 0.0;
    }
    bessel_i0(beta * (1.0 - position * position).max(0.0).sqrt()) / bessel_i0(beta)
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..64 {
        let factor = x / (2.0 * f64::from(k));
        term *= factor * factor;
        sum += term;
    }
    sum
}

/// sin(pi x) / (pi x).
pub fn sinc(x: f64) -> f64 {
    let angle = std::f64::consts::PI * x;
    if angle.abs() < 1e-12 { 1.0 } else { angle.sin() / angle }
}
