import MartletCore
import MartletKernels

/// Constant weights of a convolution packed for `DirectConvolution` (float32) or `DotConvolution`
/// (bfloat16): per group the panels of their transposed matrix [K, OC / g].
///
/// @unchecked Sendable: immutable after init.
final class DirectWeights: @unchecked Sendable {
  let storage: Storage
  let dtype: DType
  let panelBytes: Int
  /// Panels of one group; of all channels where a panel holds several groups.
  let panels: Int

  init(storage: Storage, dtype: DType, panelBytes: Int, panels: Int) {
    self.storage = storage
    self.dtype = dtype
    self.panelBytes = panelBytes
    self.panels = panels
  }

  func panel(_ index: Int, group: Int) -> UnsafeRawPointer {
    UnsafeRawPointer(storage.base) + (group * panels + index) * panelBytes
  }
}

extension NativeBackend {
  /// Output channels of a group that fill lanes well enough (AVX2).
  private static let leastRows = 4
  /// Most pixels of an image whose convolution of one tap gains: with more, packing lines of pixels is
  /// as good.
  private static let fewPixels = 256
  /// No offset within a block exceeds this, in elements: kernels know them in 32 bits.
  private static let mostElements = 1 << 27

  /// The type in which constant weights of this shape are to be packed by `directWeights`; nil where
  /// they are not to be. A function of the layer's shape without its batch, and of the mode.
  func directWeightsType(_ problem: ConvolutionProblem) -> DType? {
    if usesBF16(problem) {
      return DotConvolution.Geometry(problem, kernels) == nil ? nil : .bfloat16
    }
    guard canConvolveDirectly(problem), problem.groupRows >= NativeBackend.leastRows
    else { return nil }
    let isPlain =
      problem.stride.h == 1 && problem.stride.w == 1 && problem.output == problem.input
    return problem.kernel.count > 1 || !isPlain || problem.output.count <= NativeBackend.fewPixels
      ? .float32 : nil
  }

  /// Whether the products of `problem` are taken in bf16.
  func usesBF16(_ problem: ConvolutionProblem) -> Bool {
    kernels.precision(for: problem.mode).usesBF16 && problem.reasonForFP32 == nil
  }

  /// Whether `DirectConvolution` computes the problem in float32, be it fast or not.
  func canConvolveDirectly(_ problem: ConvolutionProblem) -> Bool {
    guard kernels.float32?.convolution != nil, !problem.isDepthwise, problem.input.d == 1,
      problem.kernel.d == 1, problem.output.d == 1, problem.padding.d == 0
    else { return false }
    // In floating point, for extents come from anywhere. The trailing padding is what outputs reach.
    func reach(
      _ input: Int, _ output: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ padding: Int
    ) -> Double {
      max(
        Double(input) + 2 * Double(padding),
        Double(output) * Double(stride)) + Double(kernel) * Double(dilation)
    }
    let (input, output, kernel) = (problem.input, problem.output, problem.kernel)
    let (stride, dilation, padding) = (problem.stride, problem.dilation, problem.padding)
    let band =
      Double(problem.inChannels / problem.groups)
      * reach(input.h, output.h, kernel.h, stride.h, dilation.h, padding.h)
      * reach(input.w, output.w, kernel.w, stride.w, dilation.w, padding.w)
    let weights = Double(problem.groupDepth) * Double(kernels.float32?.nr ?? 0)
    return max(band, weights, Double(output.count)) <= Double(NativeBackend.mostElements)
  }

  /// The problem's weights packed for convolution without an im2col matrix.
  func directWeights(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> DirectWeights {
    if usesBF16(problem), let geometry = DotConvolution.Geometry(problem, kernels) {
      return try geometry.pack(try roundedWeights(problem, pool: pool), kernels, pool: pool)
    }
    guard let row = kernels.float32 else {
      throw MartletError(.internalError, "no GEMM kernel multiplies float32")
    }
    let depth = problem.groupDepth
    let panels = row.panels(problem.groupRows)
    let bytes = try Shape.byteCount([problem.groups, panels, depth, row.nr], .float32)
    let storage = try Storage(byteCount: bytes)
    let panelBytes = row.panelBytes(depth)
    pool.parallelFor(problem.groups * panels) { index in
      let (group, panel) = index.quotientAndRemainder(dividingBy: panels)
      let first = panel * row.nr
      var job = mk_pack_rhs()
      job.k = Int64(depth)
      job.n = Int64(min(row.nr, problem.groupRows - first))
      job.src = UnsafeRawPointer(
        problem.weights + (group * problem.groupRows + first) * depth)
      job.k_stride = 4
      job.n_stride = Int64(depth * 4)
      job.dst = storage.base + index * panelBytes
      job.dst_panel_stride = Int64(panelBytes)
      row.packF32(&job)
    }
    return DirectWeights(
      storage: storage, dtype: .float32, panelBytes: panelBytes, panels: panels)
  }

  /// The problem's weights rounded for products in bf16.
  func roundedWeights(
    _ problem: ConvolutionProblem, pool: ThreadPool
  ) throws(MartletError) -> RoundedWeights {
    let (depth, taps) = (problem.groupDepth, problem.kernel.count)
    let storage = try Storage(
      byteCount: try Shape.byteCount([problem.outChannels, depth], .bfloat16))
    let rounded = storage.base.assumingMemoryBound(to: UInt16.self)
    let table = kernels.vectors.table
    guard taps > 1 else {
      pool.parallelFor(problem.outChannels) { channel in
        let offset = channel * depth
        table.f32_to_bf16(Int64(depth), problem.weights + offset, rounded + offset)
      }
      return RoundedWeights(storage: storage)
    }
    let channels = Int64(depth / taps)
    let isDone = WorkItems.run(
      problem.outChannels, isParallel: true, on: pool, scratchBytes: depth * 4
    ) { channel, scratch in
      let offset = channel * depth
      table.transpose32(
        channels, Int64(taps), problem.weights + offset, Int64(taps * 4), scratch, channels * 4)
      table.f32_to_bf16(
        Int64(depth), scratch.assumingMemoryBound(to: Float.self), rounded + offset)
    }
    guard isDone else { throw MartletError(.outOfMemory, "conv: no memory for a filter") }
    return RoundedWeights(storage: storage)
  }
}
