import MartletBackends
import MartletCore

/// What a convolution makes of its constant weights, each form once.
final class ConstantWeights: Sendable {
  private let prepared: PreparedConstants
  private let rounded = HeldForm<RoundedWeights>()
  /// Of F(m x m, 3 x 3) with m = 2 and m = 4.
  private let winograd = (HeldForm<WinogradWeights>(), HeldForm<WinogradWeights>())
  /// By the type that is multiplied: float32 and bfloat16.
  private let direct = (HeldForm<DirectWeights>(), HeldForm<DirectWeights>())

  init(_ prepared: PreparedConstants) { self.prepared = prepared }

  /// Gives the problem, whose weights are the constant `weight` as it is, the form that it runs on;
  /// false where it runs on the weights themselves.
  ///
  /// - Throws: `outOfMemory`.
  @discardableResult
  func prepare(
    _ problem: inout ConvolutionProblem, _ weight: Tensor, permitsWinograd: Bool, _ pool: ThreadPool
  ) throws(MartletError) -> Bool {
    let given = problem
    if permitsWinograd, let m = Backends.winogradTile(given) {
      problem.winogradWeights = try (m == 2 ? winograd.0 : winograd.1) { () throws(MartletError) in
        try prepared.form("winograd \(m) in \(given.groups) groups", of: weight) {
          () throws(MartletError) in
          try Backends.winogradWeights(given, m: m, pool: pool)
        }
      }
    } else if let type = Backends.directWeightsType(given) {
      let held = type == .float32 ? direct.0 : direct.1
      problem.directWeights = try held { () throws(MartletError) in
        try prepared.form(ConstantWeights.directForm(given, type), of: weight) {
          () throws(MartletError) in
          try Backends.directWeights(given, pool: pool)
        }
      }
    } else if Backends.roundsWeights(given) {
      problem.roundedWeights = try rounded { () throws(MartletError) in
        try prepared.form("rounded in \(given.groups) groups", of: weight) {
          () throws(MartletError) in
          try Backends.roundedWeights(given, pool: pool)
        }
      }
    } else {
      return false
    }
    return true
  }

  /// Names a packing by all of the layer that it may depend on: its window, not its image.
  private static func directForm(_ problem: ConvolutionProblem, _ type: DType) -> String {
    func text(_ extents: SpatialExtents) -> String { "\(extents.d) \(extents.h) \(extents.w)" }
    return "direct \(type) in \(problem.groups) groups, stride \(text(problem.stride)), "
      + "dilation \(text(problem.dilation)), padding \(text(problem.padding))"
  }
}
