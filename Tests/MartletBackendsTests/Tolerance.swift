@testable import MartletBackends

/// How far a float32 result may lie from the same expression in float64 (docs/numerics.md).
enum Tolerance {
  static let u32 = 0x1p-24
  static let u16 = 0x1p-8

  /// A product's element: `magnitude` is the sum of |a b| over `k` terms, `terms` the magnitudes of
  /// what the epilogue adds, `result` the exact result.
  static func product(
    k: Int, magnitude: Double, terms: Double, activation: UnaryFunction?, result: Double,
    roundsTo16: Bool
  ) -> Double {
    var bound = 2 * Double(k + 4) * u32 * magnitude + 8 * u32 * (magnitude + terms) + 0x1p-126
    if activation != nil {
      // Slopes of the known activations stay below 1.6; their kernels are good to a few units in
      // the last place of the larger of argument and result.
      bound = 1.6 * bound + 16 * u32 * (magnitude + terms + abs(result) + 0x1p-20)
    }
    if roundsTo16 { bound += u16 * abs(result) }
    return bound
  }
}
