import MartletBackends
import MartletCore
import Synchronization

/// What a convolution makes of its constant weights, each form once, at the first run that uses it.
final class ConstantWeights: Sendable {
  private struct Forms: Sendable {
    var rounded: RoundedWeights?
    /// By the m of F(m x m, 3 x 3).
    var winograd: [Int: WinogradWeights] = [:]
    /// By the type that is multiplied.
    var direct: [DType: DirectWeights] = [:]
  }

  private let forms = Mutex(Forms())

  /// Gives the problem, whose `weights` are the constant ones, the form that it runs on.
  ///
  /// - Throws: `outOfMemory`.
  func prepare(
    _ problem: inout ConvolutionProblem, _ context: RunContext
  ) throws(MartletError) {
    let given = problem
    if context.permitsWinograd, let m = Backends.winogradTile(given) {
      let forms = try form { (held) throws(MartletError) in
        guard held.winograd[m] == nil else { return }
        held.winograd[m] = try Backends.winogradWeights(given, m: m, pool: context.pool)
      }
      problem.winogradWeights = forms.winograd[m]
    } else if let type = Backends.directWeightsType(given) {
      let forms = try form { (held) throws(MartletError) in
        guard held.direct[type] == nil else { return }
        held.direct[type] = try Backends.directWeights(given, pool: context.pool)
      }
      problem.directWeights = forms.direct[type]
    } else if Backends.precision(for: given.mode).usesBF16 {
      let forms = try form { (held) throws(MartletError) in
        guard held.rounded == nil else { return }
        held.rounded = try Backends.roundedWeights(given, pool: context.pool)
      }
      problem.roundedWeights = forms.rounded
    }
  }

  /// The forms after `make` has added what it found missing.
  private func form(
    _ make: (inout Forms) throws(MartletError) -> Void
  ) throws(MartletError) -> Forms {
    let outcome = forms.withLock { held -> Result<Forms, MartletError> in
      do throws(MartletError) {
        try make(&held)
        return .success(held)
      } catch {
        return .failure(error)
      }
    }
    return try outcome.get()
  }
}
