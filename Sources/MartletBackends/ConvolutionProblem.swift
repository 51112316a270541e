import MartletCore

/// dst[N, OC, out] = activation(bias[OC] + residual + sum over taps of weights * src[N, C, in]).
///
/// All matrices are contiguous f32; weights are [OC, C / groups, kernel]. Sums run over
/// (channel, kd, kh, kw) in ascending order, in bf16 over (kd, kh, kw, channel), those of depthwise
/// convolution over (kw, kh).
package struct ConvolutionProblem: ConvolutionShaped {
  package var geometry: ConvolutionGeometry
  package var src: UnsafePointer<Float>
  package var weights: UnsafePointer<Float>
  /// The same weights as `Backends.prepare` made them for this shape and mode: what a convolution of
  /// constant weights runs on.
  package var prepared: ConvolutionWeights?
  package var bias: UnsafePointer<Float>?
  /// In dst's layout; may be dst itself.
  package var residual: UnsafePointer<Float>?
  package var activation: UnaryFunction?
  package var dst: UnsafeMutablePointer<Float>
  package var mode: MathMode
  /// Whether constant weights may run by Winograd's algorithm, whose bits are others.
  package var permitsWinograd = true

  package init(
    _ geometry: ConvolutionGeometry, src: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    dst: UnsafeMutablePointer<Float>, mode: MathMode
  ) {
    self.geometry = geometry
    self.src = src
    self.weights = weights
    self.dst = dst
    self.mode = mode
  }

  /// Why this convolution stays in fp32 under a mode that permits bf16; nil where it is lowered.
  ///
  /// On an image of one pixel a convolution is the gate of a squeeze-and-excite block: no time is
  /// in it, and what rounding does to a gate, it does to a whole channel. With more weights than
  /// `gateWeights`, reading them takes the time, and bf16 halves it.
  package var reasonForFP32: String? {
    if isDepthwise { return "depthwise convolution is no matrix work" }
    if input.count == 1, outChannels * groupDepth <= Self.gateWeights {
      return "a gate: one pixel, few weights"
    }
    return nil
  }

  private static let gateWeights = 1 << 20
}

/// A form of constant weights, and with it the algorithm that a layer runs by. Only the provider that
/// chose it knows what it is.
package struct ConvolutionForm: Sendable {
  enum Kind: Int, CaseIterable {
    /// Rounded to bf16.
    case rounded
    /// At the points of Winograd's F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3).
    case winograd2, winograd4
    /// Packed for convolution without an im2col matrix, by the type that is multiplied.
    case directFloat32, directBFloat16
  }

  let kind: Kind
  private let groups: Int

  init(_ kind: Kind, _ problem: ConvolutionProblem) {
    self.kind = kind
    groups = problem.groups
  }

  /// The forms of one convolution are told apart by these numbers, 0 ..< `slots`.
  package var slot: Int { kind.rawValue }
  package static var slots: Int { Kind.allCases.count }

  /// Says all that the form depends on beside the weights.
  package var name: String { "\(kind) in \(groups) groups" }
}

/// Convolution weights in some form.
package final class ConvolutionWeights: Sendable {
  enum Form: Sendable {
    case rounded(RoundedWeights)
    case winograd(WinogradWeights)
    case direct(DirectWeights)
  }

  let form: Form

  init(_ form: Form) { self.form = form }

  package var byteCount: Int {
    switch form {
    case .rounded(let weights): weights.storage.byteCount
    case .winograd(let weights): weights.storage.byteCount
    case .direct(let weights): weights.storage.byteCount
    }
  }
}

extension ConvolutionProblem {
  /// Throws `invalidShape` for what no backend can run.
  func validate() throws(MartletError) {
    try geometry.validate("conv")
    if let activation, !activation.hasKernel {
      throw MartletError(.internalError, "conv: no kernel computes \(activation)")
    }
  }
}

extension Backends {
  /// Convolves.
  ///
  /// - Throws: `invalidShape`, `outOfMemory`.
  /// - Complexity: 2·N·OC·(C/groups)·taps·pixels floating-point operations; scratch for a block of
  ///   pixels, never for the image's whole im2col matrix.
  package static func convolve(
    _ problem: ConvolutionProblem, pool: ThreadPool = .shared
  ) throws(MartletError) -> Execution {
    if let backend = try preferredBackend(), let preferred = backend as? any ConvolutionProvider {
      return try preferred.convolve(problem, pool: pool)
    }
    return try native.convolve(problem, pool: pool)
  }

  /// The form in which constant weights of this shape are read, if it is not their own.
  package static func form(
    of problem: ConvolutionProblem
  ) throws(MartletError) -> ConvolutionForm? {
    if let backend = try preferredBackend(), let preferred = backend as? any ConvolutionProvider {
      return preferred.form(of: problem)
    }
    return native.form(of: problem)
  }

  /// The problem's weights in that form.
  ///
  /// - Throws: `outOfMemory`.
  package static func prepare(
    _ problem: ConvolutionProblem, _ form: ConvolutionForm, pool: ThreadPool
  ) throws(MartletError) -> ConvolutionWeights {
    if let backend = try preferredBackend(), let preferred = backend as? any ConvolutionProvider {
      return try preferred.prepare(problem, form, pool: pool)
    }
    return try native.prepare(problem, form, pool: pool)
  }
}
