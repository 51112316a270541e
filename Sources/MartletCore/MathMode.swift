import Glibc
import MartletPlatform
import Synchronization

/// What float32 matrix work may be computed in. A mode permits; it never demands.
///
/// Raw values are those of `martlet_math_mode`.
public enum MathMode: Int32, Sendable, CaseIterable, CustomStringConvertible {
  case fp32 = 0
  /// Inputs of matrix products may be rounded to bfloat16; sums are float32.
  case bf16 = 1
  /// Accepted; permits nothing on processors without TF32 units.
  case tf32 = 2
  /// Accepted; permits nothing on processors without f16 matrix units.
  case f16 = 3
  /// Whatever is fastest among the above.
  case any = 4

  /// Whether inputs may be rounded to bfloat16.
  package var permitsBF16: Bool { self == .bf16 || self == .any }

  public var description: String {
    switch self {
    case .fp32: "FP32"
    case .bf16: "BF16"
    case .tf32: "TF32"
    case .f16: "F16"
    case .any: "ANY"
    }
  }

  /// The mode of a name or alias, in any case; throws `notFound` with the list of names.
  public init(name: String) throws(MartletError) {
    switch name.uppercased() {
    case "FP32", "STRICT", "IEEE", "HIGHEST": self = .fp32
    case "BF16": self = .bf16
    case "TF32": self = .tf32
    case "F16": self = .f16
    case "ANY": self = .any
    default:
      throw MartletError(
        .notFound,
        "unknown float32 fast-math mode '\(name)'; known: FP32 (STRICT, IEEE, HIGHEST), BF16, TF32, F16, ANY",
        expected: "FP32, STRICT, IEEE, HIGHEST, BF16, TF32, F16 or ANY", actual: name)
    }
  }

  // MARK: - Precedence: argument > scope of the thread > process > environment > FP32

  /// The mode in force on this thread; an `argument` of the call or model goes before everything.
  public static func effective(argument: MathMode? = nil) -> MathMode {
    if let argument { return argument }
    if let scoped = MathMode(rawValue: mp_mode_top()) { return scoped }
    return process
  }

  /// The mode of the process: as set, else of the environment, else FP32.
  public static var process: MathMode {
    MathMode(rawValue: processMode.load(ordering: .relaxed)) ?? environmentMode
  }

  public static func setProcess(_ mode: MathMode) {
    processMode.store(mode.rawValue, ordering: .relaxed)
  }

  /// Enters a scope on the calling thread; throws `invalidState` past 64 nested scopes.
  public static func pushScope(_ mode: MathMode) throws(MartletError) {
    guard mp_mode_push(mode.rawValue) else {
      throw MartletError(.invalidState, "more than 64 nested fast-math scopes on one thread")
    }
  }

  /// Leaves the innermost scope; throws `invalidState` when there is none.
  public static func popScope() throws(MartletError) {
    guard mp_mode_pop() >= 0 else {
      throw MartletError(.invalidState, "no fast-math scope is open on this thread")
    }
  }

  private static let processMode = Atomic<Int32>(-1)

  /// Read once; an unknown value warns once and counts as unset.
  private static let environmentMode: MathMode = {
    for variable in [
      "MARTLET_FLOAT32_FAST_MATH_MODE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE",
    ] {
      guard let value = getenv(variable).map({ String(cString: $0) }), !value.isEmpty else {
        continue
      }
      do throws(MartletError) { return try MathMode(name: value) } catch {
        mp_warn("\(variable) is ignored: \(error.message)")
      }
    }
    return .fp32
  }()
}
