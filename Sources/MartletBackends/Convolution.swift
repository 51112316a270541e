import MartletCore

/// Extents of up to three spatial axes; axes that a 1-D or 2-D problem lacks are 1 (0 for padding).
package struct SpatialExtents: Sendable, Equatable {
  package var d: Int
  package var h: Int
  package var w: Int

  package init(d: Int, h: Int, w: Int) {
    self.d = d
    self.h = h
    self.w = w
  }

  /// The trailing axes from `values`, the missing leading ones `fill`.
  package init(_ values: [Int], fill: Int) {
    let padded = [Int](repeating: fill, count: max(0, 3 - values.count)) + values
    self.init(d: padded[0], h: padded[1], w: padded[2])
  }

  package var count: Int { d * h * w }
}

/// dst[N, OC, out] = activation(bias[OC] + residual + sum over taps of weights * src[N, C, in]).
///
/// All matrices are contiguous f32; weights are [OC, C / groups, kernel]. Sums run over
/// (channel, kd, kh, kw) in ascending order, in bf16 over (kd, kh, kw, channel), those of depthwise
/// convolution over (kw, kh).
package struct ConvolutionProblem {
  package var batch: Int
  package var groups: Int
  package var inChannels: Int
  package var outChannels: Int
  package var input: SpatialExtents
  package var kernel: SpatialExtents
  package var output: SpatialExtents
  package var stride = SpatialExtents(d: 1, h: 1, w: 1)
  package var dilation = SpatialExtents(d: 1, h: 1, w: 1)
  /// Leading padding; the trailing one follows from the output's extents.
  package var padding = SpatialExtents(d: 0, h: 0, w: 0)
  package var src: UnsafePointer<Float>
  package var weights: UnsafePointer<Float>
  /// The same weights as `Backends.roundedWeights` made them; read in their place where products run
  /// in bf16.
  package var roundedWeights: RoundedWeights?
  /// The same weights as `Backends.winogradWeights` made them for this shape and mode: then the
  /// convolution runs by Winograd's algorithm.
  package var winogradWeights: WinogradWeights?
  /// The same weights as `Backends.directWeights` packed them: then the convolution runs without an
  /// im2col matrix.
  package var directWeights: DirectWeights?
  package var bias: UnsafePointer<Float>?
  /// In dst's layout; may be dst itself.
  package var residual: UnsafePointer<Float>?
  package var activation: UnaryFunction?
  package var dst: UnsafeMutablePointer<Float>
  package var mode: MathMode

  package init(
    batch: Int, groups: Int, inChannels: Int, outChannels: Int, input: SpatialExtents,
    kernel: SpatialExtents, output: SpatialExtents, src: UnsafePointer<Float>,
    weights: UnsafePointer<Float>, dst: UnsafeMutablePointer<Float>, mode: MathMode
  ) {
    self.batch = batch
    self.groups = groups
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.input = input
    self.kernel = kernel
    self.output = output
    self.src = src
    self.weights = weights
    self.dst = dst
    self.mode = mode
  }

  /// Rows of one group's product, and its depth.
  var groupRows: Int { outChannels / groups }
  package var groupDepth: Int { inChannels / groups * kernel.count }

  /// One filter per channel: no matrix work.
  package var isDepthwise: Bool {
    groups == inChannels && groups > 1 && input.d == 1 && kernel.d == 1 && output.d == 1
      && padding.d == 0
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

  /// Throws `invalidShape` where groups do not divide the channels.
  func validate() throws(MartletError) {
    guard groups > 0, inChannels % groups == 0, outChannels % groups == 0 else {
      throw .shape(
        "conv", "channels", expected: "multiples of \(groups) groups",
        actual: "\(inChannels) in, \(outChannels) out")
    }
    guard batch >= 0, input.count >= 0, output.count >= 0, kernel.count > 0 else {
      throw MartletError(.invalidShape, "conv: an extent is negative or the kernel is empty")
    }
  }
}

/// Convolution weights rounded to bf16 once, as products in bf16 sum them: [OC, kernel, C / groups].
///
/// @unchecked Sendable: immutable after init.
package final class RoundedWeights: @unchecked Sendable {
  package let storage: Storage

  package var byteCount: Int { storage.byteCount }

  init(storage: Storage) {
    self.storage = storage
  }
}

/// Convolution weights at the points of Winograd's algorithm F(m x m, 3 x 3): (m + 2)^2 matrices
/// [OC, C / groups].
///
/// @unchecked Sendable: immutable after init.
package final class WinogradWeights: @unchecked Sendable {
  let m: Int
  let storage: Storage
  /// Bytes from one point's matrix to the next.
  let pointStride: Int

  package var byteCount: Int { storage.byteCount }

  init(m: Int, storage: Storage, pointStride: Int) {
    self.m = m
    self.storage = storage
    self.pointStride = pointStride
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
    try native.convolve(problem, pool: pool)
  }

  /// Whether the problem's products are taken in bf16, as its mode and shape have it.
  package static func roundsWeights(_ problem: ConvolutionProblem) -> Bool {
    native.usesBF16(problem)
  }

  /// The problem's weights rounded for products in bf16.
  ///
  /// - Throws: `outOfMemory`.
  package static func roundedWeights(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> RoundedWeights {
    try native.roundedWeights(problem, pool: pool)
  }

  /// The m of Winograd's F(m x m, 3 x 3) for constant weights of this shape, or nil where the
  /// direct algorithm is to run. A function of the layer's shape without its batch, and of the mode.
  package static func winogradTile(_ problem: ConvolutionProblem) -> Int? {
    native.winogradTile(problem)
  }

  /// The problem's weights for that algorithm.
  ///
  /// - Throws: `outOfMemory`.
  package static func winogradWeights(
    _ problem: ConvolutionProblem, m: Int, pool: ThreadPool
  ) throws(MartletError) -> WinogradWeights {
    try native.winogradWeights(problem, m: m, pool: pool)
  }

  /// The type in which constant weights of this shape are to be packed by `directWeights`; nil where
  /// they are not to be. A function of the layer's shape without its batch, and of the mode.
  package static func directWeightsType(_ problem: ConvolutionProblem) -> DType? {
    native.directWeightsType(problem)
  }

  /// The problem's weights packed for convolution without an im2col matrix.
  ///
  /// - Throws: `outOfMemory`.
  package static func directWeights(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> DirectWeights {
    try native.directWeights(problem, pool: pool)
  }
}
