import MartletCore

/// dst[N, OC, out] = bias[OC] + each pixel of src[N, C, in] times the kernel, summed where its taps fall.
///
/// Tap t of pixel i falls on `i * stride + t * dilation - padding`; what falls outside is dropped. Per
/// image and group a product [OC / groups * taps, C / groups] x [C / groups, pixels] gives every tap's
/// value, in the mode's precision with float32 sums; then each element of dst starts from its bias and
/// adds its taps in ascending order. Both orders are functions of the layer's shape alone.
///
/// All matrices but the weights are contiguous, and none is empty.
package struct TransposedConvolution: ConvolutionShaped {
  /// src and dst in their own roles: `input` are the pixels that are spread, `output` where they fall.
  package var geometry: ConvolutionGeometry
  /// float32 or float64: the type of all matrices.
  package var dtype: DType
  package var src: UnsafeMutableRawPointer
  /// The matrix of the first group, [OC / groups * taps, C / groups], of any strides; those of the
  /// others follow it.
  package var weights: MatrixView
  package var bias: UnsafeMutableRawPointer?
  package var dst: UnsafeMutableRawPointer
  package var mode: MathMode

  package init(
    _ geometry: ConvolutionGeometry, dtype: DType, src: UnsafeMutableRawPointer,
    weights: MatrixView, bias: UnsafeMutableRawPointer?, dst: UnsafeMutableRawPointer,
    mode: MathMode
  ) {
    self.geometry = geometry
    self.dtype = dtype
    self.src = src
    self.weights = weights
    self.bias = bias
    self.dst = dst
    self.mode = mode
  }

  /// Elements of taps that one product may make before they are summed: it bounds the scratch, at 16
  /// MiB of float32, except where one output channel needs more. A bound, not tuned.
  private static let blockElements = 1 << 22

  private var groupChannels: Int { inChannels / groups }

  /// One filter per channel: no sums, so no matrix work.
  private var hasNoSums: Bool { groups == inChannels && groups > 1 }

  /// The output channels whose taps one product makes: all of several groups, or some of one.
  private var block: (groups: Int, channels: Int) {
    let perChannel = kernel.count.multipliedReportingOverflow(by: input.count)
    let most =
      perChannel.overflow ? 1 : max(1, Self.blockElements / max(perChannel.partialValue, 1))
    return (min(max(1, most / groupRows), groups), min(most, groupRows))
  }

  /// The shape of the scratch that `run` works in, of type `dtype`.
  package var scratchShape: [Int] {
    [block.groups, block.channels, kernel.count, input.count]
  }

  /// Convolves with `taps`, memory of `scratchShape`.
  ///
  /// - Throws: `outOfMemory`.
  /// - Complexity: 2·N·C·(OC/groups)·taps·pixels floating-point operations.
  package func run(
    taps: UnsafeMutableRawPointer, on pool: ThreadPool
  ) throws(MartletError) -> Execution {
    let block = block
    var execution = Execution(backend: "native", kernel: "", precision: "fp32")
    for image in 0..<batch {
      for group in Swift.stride(from: 0, to: groups, by: block.groups) {
        for channel in Swift.stride(from: 0, to: groupRows, by: block.channels) {
          let groupCount = min(block.groups, groups - group)
          let channels = min(block.channels, groupRows - channel)
          execution = try multiply(
            image, groups: group..<group + groupCount, channels: channel..<channel + channels,
            into: taps, pool)
          let first = group * groupRows + channel
          sum(
            taps, image: image, channels: first..<first + groupCount * channels, on: pool)
        }
      }
    }
    if hasNoSums, mode != .fp32 { execution.reason = "depthwise convolution is no matrix work" }
    return execution
  }

  /// The taps of some channels of each of some groups, [groups, channels, kernel, pixels].
  private func multiply(
    _ image: Int, groups: Range<Int>, channels: Range<Int>, into taps: UnsafeMutableRawPointer,
    _ pool: ThreadPool
  ) throws(MartletError) -> Execution {
    let size = dtype.wholeByteCount
    let pixels = input.count
    let rows = channels.count * kernel.count
    let groupWeights = groupRows * kernel.count * groupChannels
    let firstWeight =
      groups.lowerBound * groupWeights + channels.lowerBound * kernel.count * weights.rowStride
    let firstChannel = image * inChannels + groups.lowerBound * groupChannels
    var lhs = weights
    lhs.pointer += firstWeight * size
    var problem = GEMMProblem(
      m: rows, n: pixels, k: groupChannels, lhs: lhs,
      rhs: MatrixView(src + firstChannel * pixels * size, dtype, rowStride: pixels),
      dst: MatrixView(taps, dtype, rowStride: pixels), mode: hasNoSums ? .fp32 : mode)
    if groups.count > 1 {
      problem.batch = [
        BatchAxis(
          count: groups.count, lhsStride: groupWeights, rhsStride: groupChannels * pixels,
          dstStride: rows * pixels)
      ]
    }
    return try Backends.run(problem, pool: pool)
  }

  /// Writes the planes of `channels` of an image from their taps.
  private func sum(
    _ taps: UnsafeMutableRawPointer, image: Int, channels: Range<Int>, on pool: ThreadPool
  ) {
    let sum = TapSum(self, taps)
    let cost = Double(channels.count) * (Double(kernel.count * input.count) + Double(output.count))
    let threads = pool.threadCount(forNanoseconds: Int(min(cost, 1e15)))
    // Few planes: several items share one, each a range of its outermost axis.
    let pieces = threads > channels.count ? min(sum.outerExtent, 4 * threads) : 1
    let items = threads > 1 ? channels.count * pieces : 1
    pool.parallelFor(items) { item in
      if threads == 1 {
        for plane in channels.indices {
          sum.run(plane - channels.lowerBound, image * outChannels + plane, piece: 0, of: 1)
        }
        return
      }
      let (plane, piece) = item.quotientAndRemainder(dividingBy: pieces)
      sum.run(
        plane, image * outChannels + channels.lowerBound + plane, piece: piece, of: pieces)
    }
  }
}
