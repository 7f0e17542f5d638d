//! Chance that a seed decides.

/// Pseudo-random numbers: SplitMix64 (Steele, Lea, Flood 2014).
pub(super) struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        let mut noise = Noise(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        let _ = noise.bits();
        noise
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0..1.
    pub fn share(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal, mean 0, standard deviation 1: the sum of eight uniform bytes.
    pub fn normal(&mut self) -> f32 {
        const EVEN: u64 = 0x00FF_00FF_00FF_00FF;
        let bits = self.bits();
        let pairs = (bits & EVEN) + ((bits >> 8) & EVEN);
        let sum = pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48;
        // Eight uniform bytes: mean 8 * 127.5, variance 8 * (256^2 - 1) / 12.
        (sum as f32 - 1020.0) / 209.02
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_mean_0_and_deviation_1() {
        let mut noise = Noise::new(7);
        let values: Vec<f64> = (0..20_000).map(|_| f64::from(noise.normal())).collect();
        let mean = values.iter().sum::<f64>() / 20_000.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }
}
