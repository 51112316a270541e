import MartletCore

/// What a piece of matrix work ran as, for the precision report.
package struct Execution: Sendable, Equatable {
  /// "native", "reference" or "openblas".
  package var backend: String
  /// The kernel row's name.
  package var kernel: String
  /// The precision of the products: `fp32`, `bf16`, ….
  package var precision: String
  /// Why not the mode's own precision; empty when it is.
  package var reason: String

  package init(backend: String, kernel: String, precision: String, reason: String = "") {
    self.backend = backend
    self.kernel = kernel
    self.precision = precision
    self.reason = reason
  }
}

/// Something that computes problems of some kinds: it conforms to the provider of each kind, and
/// `Backends` leaves the others to the native backend.
package protocol Backend: Sendable {
  var name: String { get }
}

/// A provider of matrix products.
package protocol ProductProvider: Backend {
  func supports(_ problem: GEMMProblem) -> Bool
  func run(_ problem: GEMMProblem, pool: ThreadPool) throws(MartletError) -> Execution
}

/// A provider of attention.
package protocol AttentionProvider: Backend {
  func attend(_ problem: AttentionProblem, pool: ThreadPool) throws(MartletError) -> Execution
}

/// A provider of convolutions, which has the choice of their algorithm.
package protocol ConvolutionProvider: Backend {
  /// The form in which the provider reads constant weights of this problem; nil: as they are. A function
  /// of the layer's shape without its batch, and of the mode.
  func form(of problem: ConvolutionProblem) -> ConvolutionForm?
  /// The problem's weights in that form.
  func prepare(
    _ problem: ConvolutionProblem, _ form: ConvolutionForm, pool: ThreadPool
  ) throws(MartletError) -> ConvolutionWeights
  func convolve(_ problem: ConvolutionProblem, pool: ThreadPool) throws(MartletError) -> Execution
}

/// A provider of products and convolutions of 8-bit integers, exact modulo 2^32.
package protocol IntegerProvider: Backend {
  func supports(_ problem: IntegerProblem) -> Bool
  func multiply(
    _ problems: [IntegerProblem], pool: ThreadPool
  ) throws(MartletError) -> Execution
  func convolve(_ problem: IntegerConvolution, pool: ThreadPool) throws(MartletError) -> Execution
}

/// A provider of recurrent layers.
package protocol RecurrentProvider: Backend {
  /// Runs all steps; nil where no row has any.
  func run(
    _ problem: RecurrentProblem, _ workspace: Workspace
  ) throws(MartletError) -> Execution?
}
