//! A scale from numbers to places on the page, with ticks at round numbers.

use super::format;

/// An axis: the range it covers and its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// An axis that covers these numbers, from round number to round number, in about so many
    /// steps. What is not finite is left out; of nothing it goes from 0 to 1.
    pub(crate) fn covering(values: impl IntoIterator<Item = f64>, steps: usize) -> Self {
        Self::exact(values, steps).rounded()
    }

    /// The same, from the least number to the greatest without rounding.
    pub(crate) fn exact(values: impl IntoIterator<Item = f64>, steps: usize) -> Self {
        // Beyond this a range would overflow; a picture can't tell the difference.
        const MOST: f64 = 1e300;
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|v| v.is_finite()) {
            low = low.min(value.clamp(-MOST, MOST));
            high = high.max(value.clamp(-MOST, MOST));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // One value, or values whose difference is rounding noise, get room around them.
        if high - low <= low.abs().max(high.abs()) * 1e-9 {
            let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
            (low, high) = (low - room, high + room);
        }
        if high - low < 1e-290 {
            (low, high) = (low - 1e-290, high + 1e-290);
        }
        Self { low, high, step: nice_step((high - low) / steps.max(1) as f64) }
    }

    fn rounded(mut self) -> Self {
        self.low = (self.low / self.step + 1e-9).floor() * self.step;
        self.high = (self.high / self.step - 1e-9).ceil() * self.step;
        self
    }

    /// Where a number lies, 0 at the low end and 1 at the high; beyond them for what is outside.
    pub(crate) fn at(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The same, held within the axis.
    pub(crate) fn held(&self, value: f64) -> f64 {
        self.at(value).clamp(0.0, 1.0)
    }

    /// The low end.
    pub(crate) fn low(&self) -> f64 {
        self.low
    }

    /// The high end.
    #[cfg(test)]
    fn high(&self) -> f64 {
        self.high
    }

    /// The ticks within the axis, and their labels.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let first = (self.low / self.step - 1e-9).ceil();
        let largest = self.low.abs().max(self.high.abs());
        (0..50)
            .map(|i| {
                let tick = (first + f64::from(i)) * self.step;
                // Not −0, and not the dust of a multiplication.
                if tick.abs() < self.step * 1e-6 { 0.0 } else { tick }
            })
            .take_while(|tick| *tick <= self.high + self.step * 1e-6)
            .map(|tick| (tick, format::tick(tick, self.step, largest)))
            .collect()
    }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below this.
fn nice_step(raw: f64) -> f64 {
    let power = 10f64.powi(raw.log10().floor() as i32);
    let leading = raw / power;
    let nice = [1.0, 2.0, 2.5, 5.0].into_iter().find(|n| leading <= n + 1e-9).unwrap_or(10.0);
    nice * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::covering([0.0, 0.97], 4)),
            ["0.00", "0.25", "0.50", "0.75", "1.00"]
        );
        assert_eq!(labels(&Axis::covering([-3.0, 11.0], 4)), ["-5", "0", "5", "10", "15"]);
        assert_eq!(labels(&Axis::covering([0.0, 43_000.0], 4)), ["0", "20k", "40k", "60k"]);
        assert_eq!(labels(&Axis::exact([17.0, 90.0], 4)), ["20", "40", "60", "80"]);
        assert_eq!(labels(&Axis::covering([], 4)), ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        assert_eq!(labels(&Axis::covering([5.0], 2)).len(), 3);
    }

    #[test]
    fn any_numbers_have_an_axis() {
        let nasty = [0.0, -0.0, 1e-320, 1e308, -1e308, f64::NAN, f64::INFINITY, 1.0, 1.0 + 1e-15];
        for a in nasty {
            for b in nasty {
                for axis in [Axis::covering([a, b], 4), Axis::exact([a, b], 4)] {
                    assert!(axis.low() < axis.high(), "{a} {b} {axis:?}");
                    assert!((1..=50).contains(&axis.ticks().len()), "{a} {b} {axis:?}");
                    assert!(axis.at(axis.low()).abs() < 1e-9, "{a} {b}");
                    assert!((axis.at(axis.high()) - 1.0).abs() < 1e-9, "{a} {b}");
                }
            }
        }
    }
}
