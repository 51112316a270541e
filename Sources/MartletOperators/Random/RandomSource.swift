import MartletBackends
import MartletCore
import Synchronization

/// Where a node's random numbers come from.
///
/// With the attribute `seed` run r of a loaded node always gives the same numbers, and each run others
/// than the one before (as ONNX Runtime's generators go on from run to run; its numbers are others).
/// Runs are counted over all contexts of a model, and an iteration of a loop is a run. Without a seed
/// the numbers are new for each node that is made. Nodes of equal seeds give equal numbers.
final class RandomSource: Sendable {
  static let attribute = [
    "seed": "Makes the numbers of a model's first, second, ... run the same; new ones."
  ]

  private let key: UInt64
  private let runs = Atomic<UInt64>(0)

  init(_ attributes: Attributes) throws(MartletError) {
    if let seed = try attributes.optionalFloat("seed") {
      key = UInt64(seed.bitPattern)
    } else {
      // The high half apart from every seed's.
      key = UInt64.random(in: (1 << 32)...UInt64.max)
    }
  }

  /// The numbers of the next run.
  func next() -> Philox {
    Philox(key: key, run: runs.wrappingAdd(1, ordering: .relaxed).oldValue)
  }
}

/// The attributes that random operators share.
enum RandomAttributes {
  /// The attribute `dtype`, if it is there, of those that satisfy `isAllowed`.
  static func dtype(
    _ attributes: Attributes, expected: String, _ isAllowed: (DType) -> Bool
  ) throws(MartletError) -> DType? {
    guard let number = try attributes.optionalInt("dtype") else { return nil }
    let dtype = try DType.fromONNX(
      number, operatorName: attributes.operatorName, attribute: "dtype")
    guard isAllowed(dtype) else {
      throw .dtype(attributes.operatorName, "dtype", expected: expected, actual: dtype)
    }
    return dtype
  }

  /// A finite number.
  static func number(
    _ attributes: Attributes, _ name: String, default fallback: Float, atLeast least: Float? = nil
  ) throws(MartletError) -> Double {
    let value = try attributes.float(name, default: fallback)
    guard value.isFinite, value >= least ?? value else {
      let expected = least.map { "a finite number from \($0) on" } ?? "a finite number"
      throw MartletError(
        .invalidArgument,
        "\(attributes.operatorName): attribute '\(name)' must be \(expected), got \(value)",
        operatorName: attributes.operatorName, input: name, expected: expected, actual: "\(value)")
    }
    return Double(value)
  }
}
