import MartletBackends
import MartletCore

/// What a convolution's backend makes of its constant weights, each form once.
final class ConstantWeights: Sendable {
  private let prepared: PreparedConstants
  private let held: [HeldForm<ConvolutionWeights>]

  init(_ prepared: PreparedConstants) {
    self.prepared = prepared
    held = (0..<ConvolutionForm.slots).map { _ in HeldForm() }
  }

  /// Gives the problem, whose weights are the constant `weight` as it is, the form that it runs on;
  /// false where it runs on the weights themselves.
  ///
  /// - Throws: `outOfMemory`.
  @discardableResult
  func prepare(
    _ problem: inout ConvolutionProblem, _ weight: Tensor, _ pool: ThreadPool
  ) throws(MartletError) -> Bool {
    guard let form = try Backends.form(of: problem) else { return false }
    let given = problem
    let kept = held[form.slot]
    problem.prepared = try kept { () throws(MartletError) in
      try prepared.form(form.name, of: weight) { () throws(MartletError) in
        try Backends.prepare(given, form, pool: pool)
      }
    }
    return true
  }
}
